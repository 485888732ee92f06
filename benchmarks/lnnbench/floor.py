"""The floor: a training's time if only matrix products and round trips took time, both at their best rate."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lnn.network import example_space
from lnnbench.jobs import Job
from lnnbench.machine import cores

ROUND_TRIPS_PER_STEP = {"resident": 1, "data": 2}
"""Exchanges that every worker waits for, if there are several."""


@dataclass(frozen=True, slots=True)
class Floor:
    """Measured rates of one machine."""

    gemm: dict[str, dict[str, float]]
    """flops a second, by threads (``one``, ``all``) and dtype"""
    round_trip: float
    """seconds"""

    def facts(self) -> dict[str, Any]:
        gflops = {
            threads: {dtype: round(rate / 1e9, 1) for dtype, rate in by_dtype.items()}
            for threads, by_dtype in self.gemm.items()
        }
        return {"gemm_gflops": gflops, "redis_round_trip_ms": round(self.round_trip * 1000, 4), "cores": cores()}

    def one_process(self, job: Job) -> float:
        """Milliseconds of an epoch of the plain formulation in one process, all cores."""
        return sum(flops(job)) / self.gemm["all"][job.dtype] * 1000

    def in_example_space(self, job: Job, epochs: int) -> float:
        """Milliseconds of an epoch of ``fused`` in example space, with its share of the work before and after."""
        multiplications = example_space.multiplications(job.sizes, job.examples, job.test_examples, epochs)
        return 2 * multiplications / epochs / self.gemm["all"][job.dtype] * 1000

    def workers(self, job: Job, strategy: str, workers: int, round_trip: float | None = None) -> float:
        """Milliseconds of an epoch with ``workers``, each on a core of its own if there are enough."""
        first, others = flops(job)
        shared, own = (first, others) if strategy == "resident" else (first + others, 0.0)
        each = shared / workers + own
        one, together = self.gemm["one"][job.dtype], self.gemm["all"][job.dtype]
        computing = max(each / one, each * workers / together)
        exchanges = ROUND_TRIPS_PER_STEP[strategy] * job.steps if workers > 1 else 0
        trip = self.round_trip if round_trip is None else round_trip
        return (computing + exchanges * trip) * 1000


def flops(job: Job) -> tuple[float, float]:
    """The flops of an epoch in the first layer and in the others, with the forward pass over the test set.

    A layer's forward pass, its dW and the delta for the layer before are a product of inputs x units x examples each.
    The first layer has no layer before.
    """
    first, *others = [inputs * units for inputs, units in pairwise(job.sizes)]
    m, m_test = job.examples, job.test_examples
    return 2.0 * first * (2 * m + m_test), 2.0 * sum(others) * (3 * m + m_test)
