"""boto3 clients with their time limits. Each is made at its first use and then shared."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

# Short time-outs and a few retries: an invocation has little time, and every call here may be repeated.
CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 4})
# For requests that S3 usually answers within a second: see ``lnn.aws.s3_client``.
PROMPT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "max_attempts": 4})
# DynamoDB answers within milliseconds or not at all, and the lease is not renewed during the wait.
TABLES = Config(connect_timeout=2, read_timeout=3, retries={"mode": "standard", "max_attempts": 4})
# A notification must not delay a run for longer than its lease lasts.
IMPATIENT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def client(name: str, config: Config = CONFIG) -> Any:
    """The shared AWS client for a service and its time limits; it is made at its first use."""
    return LazyClient(name, config)


class LazyClient:
    """A proxy that makes its client at the first use: that takes tens of milliseconds, and few invocations need all."""

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
