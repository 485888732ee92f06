"""What every test shares."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.remote import Producer

from lnn_tools.browser import chromium, install
from lnn_tools.errors import ToolError
from support.e2e_cloud import CloudUnderTest, local_cloud
from support.repository import REPOSITORY
from support.scheduling import ByFile, longest_first

# The library's metrics, where no Lambda function sets their namespace.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LNN")

# Terraform and its provider end after some seconds: with less collecting of garbage they take a fifth less of them.
os.environ.setdefault("GOGC", "400")

# The machine may be busy with other tests; how long one example takes says nothing.
hypothesis.settings.register_profile("lnn", deadline=None)
hypothesis.settings.load_profile("lnn")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After others have put them into an order."""
    items[:] = longest_first(items)


def pytest_collection_finish() -> None:
    """What is imported by now stays: to look through it again and again takes a fifth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session")
def cloud() -> Iterator[CloudUnderTest]:
    """The local cloud of the end-to-end and chaos tests. Each worker starts its own, in .lnn/test or .lnn/test-gw0.

    LNN_E2E_HOME names a running cloud to use instead. LNN_REDIS_TLS=1 starts Redis with TLS and users, as on AWS.
    """
    running = os.environ.get("LNN_E2E_HOME")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    home = Path(running).absolute() if running else REPOSITORY / ".lnn" / (f"test-{worker}" if worker else "test")
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


@pytest.fixture(scope="session")
def tools() -> Path:
    """Folder with Playwright and axe."""
    try:
        return install()
    except ToolError as error:
        pytest.skip(f"Playwright cannot be installed here: {error}")


@pytest.fixture(scope="session")
def browser(tools: Path) -> Iterator[Any]:
    """The headless Chromium of a worker: Playwright runs once in a thread."""
    try:
        with chromium() as running:
            yield running
    except ToolError as error:
        pytest.skip(str(error))
