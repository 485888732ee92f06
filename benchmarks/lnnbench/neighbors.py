"""A training beside busy neighbors: how much longer an epoch takes while other processes want every core."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from lnnbench.cloud import Cloud
from lnnbench.jobs import Job
from lnnbench.machine import await_quiet, cores
from lnnbench.ways import Strategy

SPIN = "while True: pass"


def slowdown(cloud: Cloud, job: Job, epochs: int, repeats: int, scratch: Path, patience: float) -> dict[str, Any]:
    """Milliseconds of an epoch of ``fused``, quiet and with a spinning process for each core, in turn."""
    way = Strategy(cloud, job, "fused", epochs)
    samples: dict[str, list[float]] = {"quiet": [], "busy": []}
    for _ in range(repeats):
        await_quiet(patience)
        samples["quiet"].append(way.measure(scratch)["ms_per_epoch"])
        with spinning(cores()):
            samples["busy"].append(way.measure(scratch)["ms_per_epoch"])
    quiet, busy = (median(found) for found in samples.values())
    return {"way": way.name, "processes": cores(), "samples": samples, "quiet": quiet, "busy": busy}


@contextmanager
def spinning(processes: int) -> Iterator[None]:
    """So many processes that compute without end."""
    running = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()
