"""Work in processes: the caller's results, whatever becomes of the others."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from lnn.network import processes
from lnn.network.processes import Processes, shared

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the caller works alone")


def place_and_pid(place: int) -> tuple[int, int]:
    return place, os.getpid()


@pytest.fixture
def three() -> Iterator[Processes[int, tuple[int, int]]]:
    several = Processes(3, place_and_pid)
    yield several
    several.close()


def others(several: Processes[int, tuple[int, int]]) -> list[int]:
    """The ids of the processes besides this one."""
    return sorted({pid for _, pid in several(range(3))} - {os.getpid()})


def test_results_come_in_order_from_all_processes(three: Processes[int, tuple[int, int]]) -> None:
    found = three(range(7))
    assert [place for place, _ in found] == list(range(7))
    assert len({pid for _, pid in found}) == 3
    assert [place for place, _ in three([5])] == [5]
    assert three([]) == []


def test_what_one_side_writes_the_other_sees() -> None:
    of_caller, of_other = shared(4, "float32"), shared(4, "float64")

    def work(place: int) -> None:
        if place:
            of_other[...] = of_caller * 2

    both = Processes(2, work)
    of_caller[...] = [1, 2, 3, 4]
    both([0, 1])
    both.close()
    assert of_other.tolist() == [2, 4, 6, 8]


def test_the_caller_does_the_work_of_a_process_that_died(three: Processes[int, tuple[int, int]]) -> None:
    first, second = others(three)
    os.kill(first, signal.SIGKILL)
    assert [place for place, _ in three(range(7))] == list(range(7))
    assert others(three) == [second]
    os.kill(second, signal.SIGKILL)
    assert three(range(2)) == [(0, os.getpid()), (1, os.getpid())]


def test_a_process_that_stands_still_is_given_up(
    three: Processes[int, tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = others(three)
    os.kill(first, signal.SIGSTOP)
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 0.2)
    assert [place for place, _ in three(range(7))] == list(range(7))
    monkeypatch.undo()
    assert others(three) == [second]
    with pytest.raises(ProcessLookupError):  # nothing is left that could write late
        os.kill(first, 0)


def test_an_error_reaches_the_caller_with_what_it_decided_about_numbers() -> None:
    large = np.full(3, 1e200)

    def work(place: int) -> bool:
        return bool(np.isinf(large * (large if place else 1)).all())

    with np.errstate(over="ignore"):
        both = Processes(2, work)
        assert both([0, 1]) == [False, True]
        both.close()
    with np.errstate(over="raise"):
        both = Processes(2, work)
        with pytest.raises(FloatingPointError):
            both([0, 1])
        both.close()


def test_nothing_is_left_when_they_are_closed(three: Processes[int, tuple[int, int]]) -> None:
    gone = others(three)
    three.close()
    for pid in gone:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert three([1]) == [(1, os.getpid())]


def test_a_connection_of_the_caller_ends_when_the_caller_closes_it() -> None:
    here, there = socket.socketpair()
    both = Processes(2, place_and_pid)
    assert len(both([0, 1])) == 2
    here.close()
    there.settimeout(10)
    assert there.recv(1) == b""
    there.close()
    both.close()


def test_they_end_with_a_caller_that_is_killed() -> None:
    code = (
        "import os, sys, time\n"
        "from lnn.network.processes import Processes\n"
        "print(Processes(2, lambda _: os.getpid())([0, 1])[1], flush=True)\n"
        "time.sleep(60)\n"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    other = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    assert caller.stdout.read() == ""  # its end comes when no process has the pipe any more
    for _ in range(1000):
        try:
            os.kill(other, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    else:
        pytest.fail("the process outlives its caller")


def test_a_host_without_a_place_for_more_leaves_the_caller_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    assert Processes(4, place_and_pid)(range(3)) == [(place, os.getpid()) for place in range(3)]


def test_one_process_is_the_caller_alone() -> None:
    assert Processes(1, place_and_pid)(range(3)) == [(place, os.getpid()) for place in range(3)]
