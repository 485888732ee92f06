"""Kills whatever runs in this process, at a point between two of its effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from lnn.aws.invoker import Invoker
from lnn.models.store import Artifacts
from lnn.parameter_server.barrier import Barrier
from lnn.runs.store import Ledger


class Killed(BaseException):
    """The process is gone: nothing below may catch this and go on."""


POINTS: dict[str, tuple[type, str]] = {
    "claim": (Ledger, "claim"),
    "renew": (Ledger, "renew"),
    "record": (Ledger, "record"),
    "finish": (Ledger, "finish"),
    "close": (Ledger, "close"),
    "reserve": (Barrier, "reserve"),
    "open": (Barrier, "open"),
    "adopt": (Barrier, "adopt"),
    "arrive": (Barrier, "arrive"),
    "advance": (Barrier, "advance"),
    "confirm": (Barrier, "confirm_dispatch"),
    "checkpoint": (Artifacts, "put_checkpoint"),
    "model": (Artifacts, "put_model"),
    "timeline": (Artifacts, "put_timeline"),
    "publish": (Artifacts, "publish"),
    "invoke": (Invoker, "invoke_neuron"),
    "invoke trainer": (Invoker, "invoke_trainer"),
}
"""Calls with an effect that lasts; a crash may come just before or just after each of them."""


@contextmanager
def killed(point: str, after: bool, countdown: int = 1) -> Iterator[None]:
    """Kills at the ``countdown``-th call of ``point``; swallows the death. Does nothing if there are fewer calls."""
    owner, name = POINTS[point]
    original: Callable[..., Any] = getattr(owner, name)
    left = countdown

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            raise Killed
        answer = original(*arguments, **named)
        if left == 0 and after:
            raise Killed
        return answer

    with patch.object(owner, name, deadly):
        try:
            yield
        except Killed:
            return
