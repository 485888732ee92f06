"""The machine's facts for the report, none of which identifies the machine or its user."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil

REPOSITORY = Path(__file__).resolve().parents[2]
QUIET = 0.15
"""The share of the processor that other processes may use before a sample; an idle local cloud uses about 0.05."""

LOOK_SECONDS = 1.0
"""How long a look at the other processes takes."""


def machine(*others: str) -> dict[str, Any]:
    """Processor, cores and versions, those of the packages ``others`` among them."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "others": ", ".join(f"{package} {version(package)}" for package in others),
    }


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name in Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def load_average() -> float:
    """Runnable processes over the last minute; well above the number of cores, figures mean little."""
    return round(os.getloadavg()[0], 2)


def await_quiet(patience: float) -> float:
    """Waits at most ``patience`` seconds until other processes are idle; returns the share that they still use."""
    deadline = time.monotonic() + patience
    while True:
        busy = psutil.cpu_percent(interval=LOOK_SECONDS) / 100
        if busy <= QUIET or time.monotonic() >= deadline:
            return busy


def revision() -> str:
    """The commit, with a mark if the work tree differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
