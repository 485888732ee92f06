"""Writing files of the user's: never over another one unasked, and never half of one."""

from pathlib import Path

from lnn_cli.ui.console import size
from lnn_cli.ui.errors import CliError


def refuse_to_replace(path: Path, *, force: bool) -> None:
    """Checks, before any work is done, that ``path`` can be written.

    Raises:
        CliError: there is something, or no folder to put it in.
    """
    if path.exists() and not force:
        raise CliError(f"{path} exists; choose another name, or replace it with --force")
    if not path.absolute().parent.is_dir():
        raise CliError(f"the folder {path.absolute().parent} does not exist; make it first")


def write_whole(path: Path, content: bytes) -> str:
    """Writes a file, and returns its name and size for people; a failure leaves no half of one behind."""
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return f"{path} ({size(len(content))})"
