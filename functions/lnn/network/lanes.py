"""Threads for work that falls into parts, such as those of a batch; each computes with one BLAS thread."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Protocol, TypeVar

Given = TypeVar("Given")
Result = TypeVar("Result")


class Map(Protocol):
    """As ``map``: the results come in the order of what was given, whoever computes them."""

    def __call__(self, work: Callable[[Given], Result], given: Iterable[Given], /) -> Iterator[Result]: ...


class Lanes:
    """A ``Map`` on so many threads, of which the caller's is one."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, thread_name_prefix="lane") if threads > 1 else None

    def __call__(self, work: Callable[[Given], Result], given: Iterable[Given], /) -> Iterator[Result]:
        if self._pool is None:
            return map(work, given)
        items = list(given)
        found: dict[int, Result] = {}
        places = iter(range(len(items)))

        def lane() -> None:
            for place in places:  # each lane takes the next that no other has taken
                found[place] = work(items[place])

        # What numpy does about an overflow, the caller decided in its context.
        lanes = [self._pool.submit(copy_context().run, lane) for _ in items[1 : self._threads]]
        try:
            lane()
        finally:
            wait(lanes)
        for one in lanes:
            one.result()
        return (found[place] for place in range(len(items)))
