"""pip and other installers. pip takes the wheels that a file of pins names by hash, and resolves nothing."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lnn_tools.errors import ToolError


def pip(action: str, pins: Path, *options: str, python: Path | str = sys.executable) -> None:
    """Has an interpreter's pip `install` or `download` what `pins` names.

    Raises:
        ToolError: pip failed; with its last lines.
    """
    held = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    run([str(python), "-m", "pip", action, *held, "--requirement", str(pins), *options])


def run(command: Sequence[str], folder: Path | None = None) -> None:
    """Runs an installer in a folder, without a terminal to ask at.

    Raises:
        ToolError: it failed; with its last lines.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=folder)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line and "WARNING" not in line]
        raise ToolError("installation failed: " + " | ".join(lines[-4:]))
