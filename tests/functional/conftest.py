"""A real Redis of the tests' own, and an AWS made of mocks in this process."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing

import boto3
import pytest
import redis
from moto import mock_aws

from lnn import launch, train
from lnn.aws.clocks import is_fresh
from lnn.data.validation import examine_dataset
from lnn.runs import watchdog
from lnn.runs.record import Run
from lnn.runs.store import LEASE_SECONDS
from lnn_tools.local_cloud.ports import claim_port
from lnn_tools.local_cloud.tools import redis_server
from support.inprocess_cloud import REGION, InProcessCloud


@pytest.fixture(autouse=True)
def _no_pause_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(train, "FAULT_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _a_watch_that_trusts_the_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one clock serves all: there is nothing to observe, but for tests that are about that."""
    monkeypatch.setattr(watchdog, "patience", lambda run: math.inf if seems_at_work(run, time.time()) else 0.0)


def seems_at_work(run: Run, now: float) -> bool:
    """Whether somebody works on a run, or carries out its end, by the moments in its record."""
    if run.has_ended:
        return is_fresh(float(run.finished_at or 0.0), watchdog.CLOSING_SECONDS, now)
    return run.status == "RUNNING" and 0 <= float(run.lease_expires or 0.0) - now <= 2 * LEASE_SECONDS


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    """Port of a Redis on loopback, stopped afterwards."""
    port = claim_port("LNN_REDIS_PORT", None, "Redis")
    server = subprocess.Popen(
        [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    try:
        with closing(
            redis.Redis(port=port, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 200))
        ) as client:
            client.ping()
        yield port
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture
def client(redis_port: int) -> Iterator[redis.Redis]:
    """A client of an empty Redis."""
    with closing(redis.Redis(port=redis_port)) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def aws() -> Iterator[boto3.Session]:
    """A session that knows nothing of the user's AWS; one for all, since reading the services' models takes time."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
            environment.setenv(f"AWS_{name}", "testing")
        for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
            environment.setenv(f"AWS_{name}", "/dev/null")
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"):
            environment.delenv(name, raising=False)
        yield boto3.Session(region_name=REGION)


@pytest.fixture
def cloud(client: redis.Redis, aws: boto3.Session) -> Iterator[InProcessCloud]:
    """Tables, bucket and topic in mocks, Redis for real, and Lambda as a queue that the test delivers from."""
    launch.known.forget()
    with mock_aws():
        yield InProcessCloud(client, aws)


@pytest.fixture
def _datasets_are_checked_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same checks without a process for each launch: for tests that are about what comes after."""
    monkeypatch.setattr("lnn.launch.inspect_dataset", examine_dataset)
