"""What every test shares."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.remote import Producer

from lnn_tools.browser import chromium, install
from lnn_tools.errors import ToolError
from support.e2e_cloud import CloudUnderTest
from support.early_cloud import EarlyCloud
from support.garbage import collect_garbage_less_often
from support.scheduling import ByFile, in_order

# The library's metrics, where no Lambda function sets their namespace.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "LNN")

# The tests start hundreds of Pythons. Where none keeps the bytecode of what it imports, as in many containers, each
# compiles it all again: a third of a second for `lnn --help`, three seconds for scikit-learn.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Terraform and its provider end after some seconds: with less collecting of garbage they take a fifth less of them.
os.environ.setdefault("GOGC", "400")

# The machine may be busy with other tests; how long one example takes says nothing.
hypothesis.settings.register_profile("lnn", deadline=None)
hypothesis.settings.load_profile("lnn")

EARLY_CLOUD = pytest.StashKey[EarlyCloud]()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After others have put them into an order."""
    items[:] = in_order(items, workers=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_sessionstart(session: pytest.Session) -> None:
    session.stash[EARLY_CLOUD] = EarlyCloud()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make ready for the tests that were collected."""
    collect_garbage_less_often()
    _start_cloud(session)


def _start_cloud(session: pytest.Session) -> None:
    """Start the cloud at once where every worker will need one: each takes one file of tests after the other."""
    files = {item.path for item in session.items if item.get_closest_marker("e2e") and "cloud" in item.fixturenames}
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if len(files) >= workers and not session.config.option.collectonly:
        session.stash[EARLY_CLOUD].start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if (early := session.stash.get(EARLY_CLOUD, None)) is not None:
        early.stop()


@pytest.fixture(scope="session")
def cloud(request: pytest.FixtureRequest) -> Iterator[CloudUnderTest]:
    """The local cloud of the end-to-end and chaos tests."""
    early = request.session.stash[EARLY_CLOUD]
    try:
        yield early.ready()
    finally:
        early.stop()


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
