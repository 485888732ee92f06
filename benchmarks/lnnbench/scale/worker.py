"""One worker of ``data`` or ``resident`` that waits where it would compute: a process, as on AWS.

The exchange is the functions' own code, from the connection with TLS to the sum of the pieces.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from lnn.environment import CacheAddress
from lnn.network.types import Array
from lnn.parameter_server.connection import connect
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.server import ParameterServer
from lnn.strategies.data_parallel.exchange import gather_pieces, pieces_of, sum_own_piece
from lnnbench.scale.cells import DATA, Cell

FIGURES = bytes(32)
"""As long as what a worker of ``data`` tells of its examples in a step with one test tally."""

LEAST_STEPS, MOST_STEPS = 2, 50


@dataclass(frozen=True, slots=True)
class Found:
    """What one worker measured of a cell."""

    step_seconds: list[float]
    cpu_seconds: float
    """Processor time of a step, in the mean."""


def work(rank: int, port: int, cells: list[tuple[str, Cell]], seconds: float, results: Connection) -> None:
    """Measure ``cells``, each under its claim, when the starter says so; answers with ``Found``."""
    client = connect(CacheAddress("127.0.0.1", port, tls=True, user="", name=""), region="")
    for claim, cell in cells:
        results.recv()
        group = ProcessGroup(ParameterServer(client, "bench-scale"), claim, rank, cell.workers)
        group.join(claim + str(rank))
        with group.heartbeat():
            group.all_gather(b"")  # waits until all have joined
            results.send(measured(cell, group, seconds))
            group.all_gather(b"")  # nobody ends while others wait for it
        group.close()


def measured(cell: Cell, group: ProcessGroup, seconds: float) -> Found:
    """Steps of about so many seconds in all, after one that says how many these are."""
    step = stepper(cell, group)
    began = time.perf_counter()
    step()
    first = group.sum_of_all(time.perf_counter() - began) / group.size
    count = min(MOST_STEPS, max(LEAST_STEPS, int(seconds / first)))
    found, cpu = [], time.process_time()
    for _ in range(count):
        began = time.perf_counter()
        step()
        found.append(time.perf_counter() - began)
    return Found(found, (time.process_time() - cpu) / count)


def stepper(cell: Cell, group: ProcessGroup) -> Callable[[], None]:
    """One step of a strategy: a wait, and its exchanges."""
    values: Array = np.ones(cell.values, np.float32)

    def data() -> None:
        time.sleep(cell.wait_seconds)
        own, _ = sum_own_piece(group, values, FIGURES)
        if len(own) < len(values):
            pieces_of(values, group.size)[group.rank][...] = own / group.size
            gather_pieces(group, values)

    def resident() -> None:
        time.sleep(cell.wait_seconds)
        group.all_gather(pieces_of(values, group.size)[group.rank].data)

    return data if cell.way == DATA else resident
