"""Peak memory of the functions' processes, as the kernel counts it (Linux)."""

import re
from pathlib import Path
from typing import Any

from lnnbench.cloud import Cloud
from lnnbench.jobs import Job
from lnnbench.ways import Strategy


def peaks_of(cloud: Cloud, job: Job, strategy: str, workers: int, epochs: int, scratch: Path) -> dict[str, Any]:
    """The peak memory in MB of each function in one run from a cold start: that of its largest process."""
    cloud.chill()
    run = Strategy(cloud, job, strategy, epochs, workers).measure(scratch)
    peaks = {
        name: max((peak_megabytes(process.pid) for process in processes), default=None)
        for name, processes in cloud.workers().items()
    }
    return {"examples": job.examples, "peak_mb": peaks, "seconds_total": run["seconds_total"]}


def peak_megabytes(pid: int) -> float:
    """The peak resident set of a process (proc(5): VmHWM), in MB of 2**20 bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"process {pid} has no peak")
    return round(int(found[1]) / 1024, 1)
