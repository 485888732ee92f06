"""Inspection of an untrusted file in a child process.

The HDF5 library may crash or hang on a damaged file, and then only the child is lost. The child has limits of time and
memory, and no credentials in its environment. However it ends, the caller gets an answer or an ``LnnError`` with a
reason, so that each upload leaves a record.
"""

import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lnn.data.hdf5 import load_library, reason_of
from lnn.errors import InputError, InspectionFailed
from lnn.text.characters import escaped

logger = logging.getLogger(__name__)

SECONDS = 60.0
BYTES_PER_SECOND = 10 * 2**20
"""Time limit of an inspection: SECONDS plus the file's size at this rate, which is slow even for unpacking."""

SPARE_BYTES = 2**29
"""Memory for an inspection in addition to the data that it reads."""

PRINTED, SHOWN = 2000, 200
"""Characters of what a process prints that the log keeps, and that a reason quotes."""

ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR")
"""The variables that Python needs to start. The others, credentials among them, are not passed on."""


def inspect(module: str, path: str | Path, *limits: int, seconds: float | None = None) -> dict[str, Any]:
    """Run ``python -m module path limits`` and return the JSON that its ``reply`` prints.

    The process may take ``seconds`` (None: depending on the file's size). Raises InputError for a file that is refused,
    and InspectionFailed when the process ends without an answer.
    """
    name = Path(path).name
    if seconds is None:
        size = Path(path).stat().st_size if Path(path).is_file() else 0
        seconds = SECONDS + size / BYTES_PER_SECOND
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    # -P keeps the working directory off the child's module path.
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
    answer = _answer(name, done)
    if "problems" in answer:
        raise InputError(answer["problems"])
    return answer


def _answer(name: str, done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """What ``reply`` has printed. Raises InspectionFailed."""
    said = done.stderr.decode(errors="replace").strip()
    if said:
        logger.info("what the check of a file printed", extra={"file": name, "printed": said[-PRINTED:]})
    try:
        answer = None if done.returncode else json.loads(done.stdout)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        last = escaped(said.splitlines()[-1])[:SHOWN] if said else "it printed nothing"
        raise InspectionFailed(
            f"{name}: the process that checks it ended with status {done.returncode} and no answer: {last}; the file "
            "may be sound: mend that, then upload it again"
        )
    return answer


def reply(examine: Callable[[], dict[str, Any]], memory: int) -> None:
    """In the child process: print what ``examine`` returns, using at most ``memory`` bytes more than now."""
    load_library()  # before the limit, which counts from the memory in use now
    limit_memory(memory + SPARE_BYTES)
    try:
        found = examine()
    except InputError as error:
        found = {"problems": error.problems}
    except MemoryError:
        mebibytes = (memory + SPARE_BYTES) // 2**20
        found = {"problems": [f"to check the file takes more than {mebibytes} MiB of memory; expected a smaller one"]}
    except Exception as error:  # noqa: BLE001 - what the library makes of a damaged file is not foreseen
        traceback.print_exc()
        found = {"problems": [f"cannot be read: {type(error).__name__}: {reason_of(error)}; write or upload it again"]}
    json.dump(found, sys.stdout)


def limit_memory(more: int) -> None:
    """Limit this process to ``more`` bytes beyond its present size; no limit on systems without /proc."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return
    import resource

    limit = int(statm.read_text().split()[0]) * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
