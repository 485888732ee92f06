"""Writers that stop at a chosen call while others go on, and then wake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

WAIT_SECONDS = 60.0


class Frozen:
    """A thread that stops before a chosen call, until it is let go."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.reached, self.thawed = threading.Event(), threading.Event()
        self.raised: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(work,), daemon=True)

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.raised = error

    def thaw(self) -> None:
        """Let it go, and wait until it has done what it was about to do."""
        self.thawed.set()
        self.thread.join(WAIT_SECONDS)
        assert not self.thread.is_alive()


@contextmanager
def frozen(owner: Any, name: str, work: Callable[[], object]) -> Iterator[Frozen]:
    """``work`` in a thread of its own, stopped at its first call of ``name``; nobody else is stopped there."""
    zombie, original = Frozen(work), getattr(owner, name)

    def stopping(*arguments: Any, **named: Any) -> Any:
        if threading.current_thread() is zombie.thread and not zombie.reached.is_set():
            zombie.reached.set()
            assert zombie.thawed.wait(WAIT_SECONDS)
        return original(*arguments, **named)

    with patch.object(owner, name, stopping):
        zombie.thread.start()
        assert zombie.reached.wait(WAIT_SECONDS), f"never came to {name}: {zombie.raised}"
        yield zombie
        if zombie.thread.is_alive():
            zombie.thaw()
