"""The price of the same bits on any host: the code that functions name, and the processor's own choice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from lnnbench.cloud import Cloud
from lnnbench.jobs import Job
from lnnbench.machine import await_quiet
from lnnbench.ways import CHOSEN_BY_PROCESSOR, Strategy


def prices(
    cloud: Cloud, jobs: Sequence[tuple[Job, int]], repeats: int, scratch: Path, patience: float
) -> list[dict[str, Any]]:
    """For each job with its epochs: milliseconds an epoch in both ways, by turns, and the ratio of the medians."""
    rows = []
    for job, epochs in jobs:
        same, own = [], []
        for _ in range(repeats):
            await_quiet(patience)
            same.append(pace(cloud, job, epochs, scratch))
            with processors_choice(cloud):
                own.append(pace(cloud, job, epochs, scratch))
        ratio = median(same) / median(own)
        rows.append({"job": f"{job.name}, {job.dtype}", "same_ms": median(same), "own_ms": median(own), "ratio": ratio})
        print(f"  {job.name:<36}{ratio:12.3f} of the processor's own code", flush=True)
    return rows


def pace(cloud: Cloud, job: Job, epochs: int, scratch: Path) -> float:
    """Milliseconds of an epoch."""
    return float(Strategy(cloud, job, "fused", epochs).measure(scratch)["ms_per_epoch"])


@contextmanager
def processors_choice(cloud: Cloud) -> Iterator[None]:
    """A Trainer whose libraries choose their code by the processor."""
    before = cloud.variables("trainer")
    cloud.configure("trainer", {name: value for name, value in before.items() if name not in CHOSEN_BY_PROCESSOR})
    try:
        yield
    finally:
        cloud.configure("trainer", before)
