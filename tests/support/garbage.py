"""The garbage collector, in processes that live as long as the tests."""

from __future__ import annotations

import gc


def collect_garbage_less_often() -> None:
    """What is imported by now stays: looking through it again and again takes a fifth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
