"""boto3's clients with their time limits, each made at its first use and shared."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# Short time-outs and a few retries: an invocation has little time, and every call here may be repeated.
CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 4})
# For what S3 answers within a second as a rule; ``lnn.aws.s3_client`` says when.
PROMPT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "max_attempts": 4})
# DynamoDB answers within milliseconds, or will not: whoever waits for it does not keep the run's lease meanwhile.
TABLES = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "max_attempts": 4})
# A message to people must not hold up a run for longer than its lease lasts.
IMPATIENT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def client(name: str, config: Config = CONFIG) -> Any:
    """An AWS client that is made when it is first used, and shared by all who ask for it."""
    return OnDemand(name, config)


class OnDemand:
    """Stands for a client until its first use: making one takes tens of milliseconds, and few invocations need all."""

    _making = threading.Lock()
    """boto3 makes one client at a time (boto3 guide, "Multithreading or multiprocessing with clients")."""

    def __init__(self, name: Any, config: Config) -> None:
        self._name = name
        self._config = config
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._making:
            if self._client is None:
                self._client = boto3.client(self._name, config=self._config)
        return getattr(self._client, name)
