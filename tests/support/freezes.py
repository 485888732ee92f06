"""Stops a call at a chosen line while others go on, and lets it go again: a function whose environment is paused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import patch


class Frozen:
    """A call in a thread of its own, stopped at one of the calls that it makes."""

    def __init__(self, call: Callable[[], object], owner: Any, name: str, nth: int = 1, after: bool = False) -> None:
        """Stop ``call`` at its ``nth`` call of ``owner.name``: before it, or after it."""
        self._reached, self._thawed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(call,), name="frozen", daemon=True)
        self._left, self._after = nth, after
        self.raised: BaseException | None = None
        original = getattr(owner, name)

        def stopping(*arguments: Any, **named: Any) -> Any:
            if threading.current_thread() is not self._thread:
                return original(*arguments, **named)
            self._left -= 1
            if self._left == 0 and not self._after:
                self._stop()
            answer = original(*arguments, **named)
            if self._left == 0 and self._after:
                self._stop()
            return answer

        self._patch = patch.object(owner, name, stopping)
        self._patch.start()
        self._thread.start()
        assert self._reached.wait(60), f"{name} was not called"
        assert self._thread.is_alive(), f"{name} was called less than {nth} times: {self.raised}"

    def thaw(self) -> None:
        """Let the call go on, to its end."""
        self._thawed.set()
        self._thread.join(60)
        self._patch.stop()
        assert not self._thread.is_alive()

    def _stop(self) -> None:
        self._reached.set()
        self._thawed.wait(120)

    def _run(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.raised = error
        finally:
            self._reached.set()
