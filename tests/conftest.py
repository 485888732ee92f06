"""What every test shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from support.e2e_cloud import CloudUnderTest, local_cloud
from support.repository import REPOSITORY

# The library's metrics, where no Lambda function sets their namespace.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LNN")

# The machine may be busy with other tests; how long one example takes says nothing.
hypothesis.settings.register_profile("lnn", deadline=None)
hypothesis.settings.load_profile("lnn")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file share fixtures, so one worker gets them all; a folder that shares more has said so already."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


@pytest.fixture(scope="session")
def cloud() -> Iterator[CloudUnderTest]:
    """The local cloud that the end-to-end and chaos tests run on, started for them under .lnn/test.

    LNN_E2E_HOME names a cloud that runs already: it is used instead, and left as it was. LNN_REDIS_TLS=1 gives the one
    that is started a Redis with TLS and users, as on AWS.
    """
    running = os.environ.get("LNN_E2E_HOME")
    home = Path(running).absolute() if running else REPOSITORY / ".lnn" / "test"
    if not running:
        # What an interrupted session has left behind goes first: every session starts from nothing.
        for command in ("down", "up"):
            done = local_cloud(command, home, LNN_REDIS_TLS=os.environ.get("LNN_REDIS_TLS", ""))
            assert done.returncode == 0, done.stderr
    try:
        cloud = CloudUnderTest(home)
        cloud.subscribe()
        yield cloud
    finally:
        if not running:
            done = local_cloud("down", home)
            assert done.returncode == 0, done.stderr
