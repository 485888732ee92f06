"""Bytecode for what is deployed.

In a function the code's folders are read only, so Python would compile every module anew at each cold start. Bytecode
depends on the interpreter's version alone, and not on the machine, but only an interpreter of that version can make it.
"""

import subprocess
import sys
from pathlib import Path

from lnn_tools.errors import ToolError

QUESTION = "import sys; print('%d.%d' % sys.version_info[:2])"


def interpreter(version: str) -> str | None:
    """An interpreter of this version, such as 3.13, on this machine: this one, or one on PATH."""
    if version == "{}.{}".format(*sys.version_info):
        return sys.executable
    name = f"python{version}"
    try:
        found = subprocess.run([name, "-c", QUESTION], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return None
    return name if found.stdout.strip() == version else None


def compile_tree(root: Path, python: str, place: str) -> None:
    """Compiles all modules under `root`, which will lie at `place`, in `__pycache__` folders beside them.

    The bytecode holds no time of its source, and is never compared with it: an archive keeps neither.

    Raises:
        ToolError: a module does not compile.
    """
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", place]
    done = subprocess.run(
        [python, "-m", "compileall", *options, str(root)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ToolError(f"{python} does not compile {root}: {(done.stdout + done.stderr).strip()[-500:]}")
