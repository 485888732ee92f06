"""A file from anyone, inspected by a process of its own.

The HDF5 library may crash or never come back on a damaged file, and takes nobody with it then. The process has a
limit of time and one of memory, and no credentials in its environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lnn.data.hdf5 import load_library
from lnn.errors import InputError

SECONDS = 60.0
BYTES_PER_SECOND = 10 * 2**20
"""How long an inspection may take: so long, and as long as the file's bytes take at this rate, slow for unpacking."""

SPARE_BYTES = 2**29
"""Memory that inspecting may take besides what it reads."""

ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR")
"""The variables that Python needs to start; a function's others are its credentials."""


def inspect(module: str, path: str | Path, *limits: int, seconds: float | None = None) -> dict[str, Any]:
    """What ``python -m module path limits`` says of a file; ``reply`` is its part. Raises InputError.

    The process may take ``seconds`` (None: by the file's size).
    """
    name = Path(path).name
    if seconds is None:
        size = Path(path).stat().st_size if Path(path).is_file() else 0
        seconds = SECONDS + size / BYTES_PER_SECOND
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    # -P: not the modules that lie in the folder where the command is given.
    command = [sys.executable, "-P", "-m", module, str(path), *map(str, limits)]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and a module of ours
            command, capture_output=True, check=False, timeout=seconds, env=environment
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{name}: cannot be read: the file is damaged, or too much to check in {seconds:.0f} s; "
            "write or upload it again"
        ) from None
    if done.returncode < 0:
        raise InputError(
            f"{name}: cannot be read: the file is damaged so that reading it ended with signal {-done.returncode}; "
            "write or upload it again"
        )
    if done.returncode:
        raise RuntimeError(f"{name} could not be checked: {done.stderr.decode(errors='replace')[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "problems" in answer:
        raise InputError(answer["problems"])
    return answer


def reply(examine: Callable[[], dict[str, Any]], memory: int) -> None:
    """In the process of its own: print what ``examine`` finds, within ``memory`` bytes more than are taken now."""
    load_library()  # before the limit, which counts from what the process takes now
    limit_memory(memory + SPARE_BYTES)
    try:
        found = examine()
    except InputError as error:
        found = {"problems": error.problems}
    json.dump(found, sys.stdout)


def limit_memory(more: int) -> None:
    """Let this process take ``more`` bytes than it does now; without /proc, which says what that is, any number."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    import resource

    limit = int(statm.read_text().split()[0]) * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
