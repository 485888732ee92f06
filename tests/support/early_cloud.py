"""A worker's local cloud, which starts beside tests that need none: for a minute and a half it waits for Terraform."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from support.e2e_cloud import CloudUnderTest, local_cloud
from support.repository import REPOSITORY


class EarlyCloud:
    """A cloud that is starting, or the running one that LNN_E2E_HOME names.

    Each worker has its own, in .lnn/test or .lnn/test-gw0. LNN_REDIS_TLS=1 starts Redis with TLS and users, as on AWS.
    """

    def __init__(self) -> None:
        running, worker = os.environ.get("LNN_E2E_HOME"), os.environ.get("PYTEST_XDIST_WORKER")
        own = REPOSITORY / ".lnn" / (f"test-{worker}" if worker else "test")
        self._home = Path(running).absolute() if running else own
        self._is_own = not running
        self._pool = ThreadPoolExecutor(1)
        self._started: Future[None] | None = None

    def start(self) -> None:
        """Begin to start it; repeating that changes nothing."""
        if self._is_own and self._started is None:
            self._started = self._pool.submit(self._start)

    def ready(self) -> CloudUnderTest:
        """The cloud, once it has started."""
        self.start()
        if self._started is not None:
            self._started.result()
        cloud = CloudUnderTest(self._home)
        cloud.subscribe()
        return cloud

    def stop(self) -> None:
        """Stop what was started, whether any test has used it or not; repeating that changes nothing."""
        started, self._started = self._started, None
        if started is not None:
            started.exception()
            done = local_cloud("down", self._home)
            assert done.returncode == 0, done.stderr

    def _start(self) -> None:
        # What an interrupted session has left behind goes first: every session starts from nothing.
        for command in ("down", "up"):
            done = local_cloud(command, self._home, LNN_REDIS_TLS=os.environ.get("LNN_REDIS_TLS", ""))
            assert done.returncode == 0, done.stderr
