"""botocore's clients with their time limits. Each is made at its first use and then shared.

boto3 would import its resources, its documentation and a manager of transfers, which no function uses, at every cold
start.
"""

import threading
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.session import Session

from lnn.aws.clocks import service_clock

# Short time-outs and a few retries: an invocation has little time, and every call here may be repeated.
CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 4})
# For requests that S3 usually answers within a second: see ``lnn.aws.s3_client``.
PROMPT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "max_attempts": 4})
# DynamoDB answers within milliseconds or not at all, and the lease is not renewed during the wait.
# botocore would look at every attribute of every row, in Python, beside a training: DynamoDB looks at them anyway.
TABLES = Config(
    connect_timeout=2, read_timeout=3, retries={"mode": "standard", "max_attempts": 4}, parameter_validation=False
)
# A notification must not delay a run for longer than its lease lasts.
IMPATIENT = Config(connect_timeout=2, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})


@cache
def client(name: str, config: Config = CONFIG) -> Any:
    """The shared AWS client for a service and its time limits; it is made at its first use."""
    return LazyClient(name, config)


class LazyClient:
    """A proxy that makes its client at the first use: that takes tens of milliseconds, and few invocations need all."""

    _making = threading.Lock()
    """A session makes one client at a time (boto3 guide, "Multithreading or multiprocessing with clients")."""
    _session = Session()
    service_clock.follow(_session)

    def __init__(self, name: Any, config: Config) -> None:
        self._name = name
        self._config = config
        self._client: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._making:
            if self._client is None:
                self._client = self._session.create_client(self._name, config=self._config)
        return getattr(self._client, name)
