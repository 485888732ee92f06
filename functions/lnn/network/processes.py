"""Processes for work that falls into parts, such as those of a batch; each computes with one BLAS thread.

Threads that compute side by side wait for Python's lock between any two calls of numpy. Processes do not. They are
forked, so they have the arrays of the caller without a copy: those as they were at that time, and those of ``shared``
as they are. Neither needs /dev/shm, which Lambda has not.
"""

from __future__ import annotations

import gc
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from lnn.network.types import Array

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Given = TypeVar("Given")
Result = TypeVar("Result")

SPIN_SECONDS = 0.002
"""Busy-poll this long for what another process sends before blocking: on a virtual machine, waking a process can take
as long as a small part. A step is shorter than that, and a process that has no work for longer sleeps."""

ANSWER_SECONDS = 30.0
"""A process that has computed for longer on one call is given up; a part takes milliseconds."""


def shared(values: int, dtype: npt.DTypeLike) -> Array:
    """A new array (values,) of zeros. What one process writes into it, those forked later and the caller see."""
    array: Array = np.frombuffer(mmap.mmap(-1, max(1, values * np.dtype(dtype).itemsize)), dtype, values)
    return array


class Processes(Generic[Given, Result]):
    """``work`` in so many processes, of which the caller's is one.

    They compute nothing that the caller could not compute itself. So one that dies or does not answer costs time, and
    changes no result. On systems other than Linux the caller works alone: their libraries may not survive a fork.
    """

    def __init__(self, processes: int, work: Callable[[Given], Result]) -> None:
        self._work = work
        self._others: list[tuple[BaseProcess, Connection]] = []
        if processes > 1 and sys.platform == "linux":
            from multiprocessing import get_context  # few trainings have so much to compute

            context = get_context("fork")
            with suppress(OSError):  # the host has no place for more
                for _ in range(processes - 1):
                    here, there = context.Pipe()
                    process = context.Process(target=_serve, args=(work, there), daemon=True)
                    process.start()
                    there.close()
                    self._others.append((process, here))

    def __call__(self, given: Sequence[Given]) -> list[Result]:
        """The results in the order of what was given. Both travel through a pipe: what is large belongs in ``shared``.

        Raises what ``work`` raises.
        """
        stride = len(self._others) + 1
        shares = [given[first::stride] for first in range(stride)]
        asked = [self._ask(other, share) for other, share in zip(self._others, shares[1:], strict=True)]
        found = [[self._work(one) for one in shares[0]]]
        for other, share, was_asked in zip(self._others, shares[1:], asked, strict=True):
            answer = self._answer(other) if was_asked else None
            if answer is None and share:
                self._give_up(other)
                answer = [self._work(one) for one in share]
            found.append(answer or [])
        self._others = [(process, here) for process, here in self._others if not here.closed]
        return [found[place % stride][place // stride] for place in range(len(given))]

    def close(self) -> None:
        """End the other processes; the caller alone does what comes after."""
        for other in self._others:
            self._give_up(other)
        self._others = []

    @staticmethod
    def _ask(other: tuple[BaseProcess, Connection], share: Sequence[Given]) -> bool:
        if not share:
            return False
        with suppress(OSError):
            other[1].send(share)
            return True
        return False

    @staticmethod
    def _answer(other: tuple[BaseProcess, Connection]) -> list[Result] | None:
        _, here = other
        with suppress(OSError, EOFError):
            _spin(here)
            if here.poll(ANSWER_SECONDS):
                answer: list[Result] = here.recv()
                return answer
        return None

    @staticmethod
    def _give_up(other: tuple[BaseProcess, Connection]) -> None:
        """End a process: from here on it writes nothing."""
        process, here = other
        here.close()
        process.kill()
        process.join()


def _serve(work: Callable[[Given], Result], there: Connection) -> None:
    """Answer until the caller has gone. An error ends the process, and the caller meets it in its own try."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever interrupts the caller means the caller
    gc.disable()  # what belongs to the caller, its connections say, is not this process's to clean up
    # A connection is over for its other end when the last process that has it is gone.
    os.closerange(3, there.fileno())
    os.closerange(there.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    with suppress(OSError, EOFError, ArithmeticError):
        while True:
            _spin(there)
            there.send([work(one) for one in there.recv()])


def _spin(connection: Connection) -> None:
    """Return when there is something to receive, or SPIN_SECONDS are over."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    until = time.perf_counter() + SPIN_SECONDS
    while not poll.poll(0) and time.perf_counter() < until:
        os.sched_yield()
