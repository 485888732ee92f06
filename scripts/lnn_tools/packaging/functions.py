"""Packs each function into build/functions/NAME.zip: the modules of `lnn/` and of its folder that its handler imports.

A function is a folder of functions/ with a handler.py. The same tree gives the same bytes, so Terraform deploys only
what has changed. Bytecode goes along for the Python that will run them, if the machine has it: on AWS that of the
runtime, in the local cloud the emulator's. Bytecode for others would only make archives larger.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import source_from_cache
from pathlib import Path

from lnn_tools.errors import ToolError, exit_status
from lnn_tools.packaging.archives import write_zip
from lnn_tools.packaging.bytecode import compile_tree, interpreter
from lnn_tools.packaging.layer import DEFAULT_RUNTIME, RUNTIMES
from lnn_tools.packaging.reachable import reachable

PLACE = "/var/task"
"""Where Lambda unpacks a function."""

REPOSITORY = Path(__file__).resolve().parents[3]
LIBRARY = "lnn"
# The files of a function: code, scripts for Redis, the page, and the marker of typed code.
ALLOWED_SUFFIXES = {".css", ".html", ".js", ".json", ".lua", ".py"}
ALLOWED_NAMES = {"py.typed"}
# Tools leave these in a work tree; they are skipped without an error.
LEFTOVERS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"}


def function_names(source: Path) -> list[str]:
    """The functions in `source`, sorted: every folder with a handler, without the library.

    Raises:
        ToolError: the library is missing, or a folder has code but no handler.py.
    """
    folders = {path.name for path in source.iterdir() if path.is_dir() and path.name not in LEFTOVERS}
    if LIBRARY not in folders:
        raise ToolError(f"{source / LIBRARY} is missing: every function needs the library")
    names = sorted(name for name in folders - {LIBRARY} if any((source / name).rglob("*.py")))
    for name in names:
        if not (source / name / "handler.py").is_file():
            raise ToolError(f"{source / name} has no handler.py: a function's folder needs one")
    return names


def contents(source: Path, folder: str) -> dict[str, bytes | Path]:
    """The files of `source/folder` to pack, by their name in the archive.

    Raises:
        ToolError: there are links, or files that are not code; names each.
    """
    entries: dict[str, bytes | Path] = {}
    unexpected = []
    for path in sorted((source / folder).rglob("*")):
        relative = path.relative_to(source)
        if LEFTOVERS.intersection(relative.parts) or path.suffix == ".pyc":
            continue
        if path.is_symlink():
            unexpected.append(relative)
        elif path.is_dir():
            continue
        elif path.name.startswith(".") or (path.suffix not in ALLOWED_SUFFIXES and path.name not in ALLOWED_NAMES):
            unexpected.append(relative)
        else:
            entries[relative.as_posix()] = path
    if unexpected:
        raise ToolError(
            f"functions hold code only, so these files in {source} are not deployed: "
            f"{', '.join(map(str, unexpected))}; move or delete them"
        )
    return entries


def bytecode_of(entries: Mapping[str, bytes | Path], python: str | None) -> dict[str, bytes | Path]:
    """The bytecode of the modules among `entries`, by its name in the archive; none without an interpreter."""
    if python is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, content in entries.items():
            if name.endswith(".py"):
                module = root / name
                module.parent.mkdir(parents=True, exist_ok=True)
                module.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        compile_tree(root, python, PLACE)
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.pyc"))}


def module_of(entry: str) -> str | None:
    """The module whose source or bytecode an entry is; None for other files."""
    if entry.endswith(".pyc"):
        return source_from_cache(entry)
    return entry if entry.endswith(".py") else None


def package_functions(source: Path, target: Path, python: str | None = None) -> dict[str, str]:
    """Packs every function of `source` into `target`; returns each archive's SHA-256 by function.

    `python` is the interpreter to compile with. Archives of functions that are no longer there are deleted.

    Raises:
        ToolError: as `function_names` and `contents`, or a module does not compile, before any archive is changed.
    """
    library = contents(source, LIBRARY)
    library |= bytecode_of(library, python)
    planned = {}
    for name in function_names(source):
        own = contents(source, name)
        everything = library | own | bytecode_of(own, python)
        needed = {path.relative_to(source).as_posix() for path in reachable(source, f"{name}.handler")}
        planned[name] = {entry: code for entry, code in everything.items() if module_of(entry) in {None, *needed}}
    for old in target.glob("*.zip"):
        if old.stem not in planned:
            old.unlink()
    return {name: write_zip(target / f"{name}.zip", entries) for name, entries in planned.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack the functions for AWS.")
    parser.add_argument(
        "--runtime", default=DEFAULT_RUNTIME, choices=RUNTIMES, help="Lambda runtime (default: %(default)s)"
    )
    python = interpreter(parser.parse_args().runtime.removeprefix("python"))
    target = REPOSITORY / "build" / "functions"
    for name, digest in package_functions(REPOSITORY / "functions", target, python).items():
        archive = target / f"{name}.zip"
        print(f"{archive.relative_to(REPOSITORY)}  {archive.stat().st_size / 1024:.0f} KiB  sha256 {digest[:16]}")


if __name__ == "__main__":
    sys.exit(exit_status("package", main))
