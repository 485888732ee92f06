"""What is measured: a way to exchange, so many workers, bytes and a wait in place of computing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lnn.planning.cost_model import CostModel
from lnn.planning.rates import AWS, Rates
from lnn.planning.workload import Job
from lnnbench.scale.network import Network

ITEM = 4
"""Bytes of a value: float32."""

DATA, RESIDENT, GLOO = "data", "resident", "gloo"

DIGITS_BYTES = 437_544
"""Of the gradient of 784-128-64-10 in float32."""
SIZES = (4_000, 16_000, DIGITS_BYTES, 4_000_000, 40_000_000)
WORKERS = (2, 4, 8, 16, 32, 64, 128)
GLOO_MOST = 16
"""Every rank of gloo is connected to every other one, and PyTorch takes 100 MB of memory in each."""
RESIDENT_SIZES = (16_000, DIGITS_BYTES)

TOGETHER_SECONDS = 0.1
"""The work of a step, shared by the workers."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement."""

    way: str
    workers: int
    bytes: int
    """Of the gradient (``data``, gloo), or of W1 X of a batch (``resident``)."""
    wait_seconds: float
    """What a worker waits in a step, in place of computing."""

    @property
    def values(self) -> int:
        return self.bytes // ITEM


def grid(workers: Sequence[int], sizes: Sequence[int], most_seconds: float, network: Network) -> Iterator[Cell]:
    """The cells whose steps the model expects to take at most ``most_seconds``.

    Steps share ``TOGETHER_SECONDS`` of work. One more cell is that of the second mark: as much work for each worker.
    """
    for count in workers:
        cells = [Cell(DATA, count, size, TOGETHER_SECONDS / count) for size in sizes]
        cells += [Cell(RESIDENT, count, size, TOGETHER_SECONDS / count) for size in sizes if size in RESIDENT_SIZES]
        if count == GLOO_MOST and DIGITS_BYTES in sizes:
            cells.append(Cell(DATA, count, DIGITS_BYTES, TOGETHER_SECONDS))
        if count <= GLOO_MOST:
            cells += [Cell(GLOO, count, size, TOGETHER_SECONDS / count) for size in sizes]
        yield from (cell for cell in cells if expected(replace(cell, way=DATA), network) <= most_seconds)


def expected(cell: Cell, network: Network) -> float:
    """Seconds of a step's exchanges as ``lnn estimate`` has them on AWS, with this network."""
    return CostModel(job_of(cell), rates=rates_of(network)).costs(cell.way, cell.workers).course().exchange


def rates_of(network: Network) -> Rates:
    """AWS's rates, but for the emulated ones; what has no limit here takes no time."""
    return replace(
        AWS,
        round_trip_seconds=network.round_trip_seconds,
        function_bytes=network.function_bytes or float("inf"),
        cache_bytes=network.node_bytes or float("inf"),
    )


def job_of(cell: Cell) -> Job:
    """A training whose one update in an epoch exchanges the cell's bytes."""
    units = cell.values - 1 if cell.way == DATA else cell.values
    return Job(
        # For data n - 1 weights and a bias. For resident a Z of so many units of one example.
        sizes=(units, 1) if cell.way == DATA else (1, units, 1),
        examples=cell.workers if cell.way == DATA else 1,
        test_examples=0,
        stored_item=ITEM,
        epochs=1,
        batch_size=None,
        optimizer="sgd",
        dtype="float32",
        record_every=1,
        average_every=None,
    )
