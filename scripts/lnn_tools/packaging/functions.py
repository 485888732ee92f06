"""Packs each function: `lnn/` and the function's own folder at the root of build/functions/NAME.zip.

A function is a folder of functions/ that holds a handler.py. Same tree, same bytes: Terraform deploys what changed.
"""

import argparse
import sys
from pathlib import Path

from lnn_tools.packaging.archives import write_zip

REPOSITORY = Path(__file__).resolve().parents[3]
LIBRARY = "lnn"
# What a function may consist of: code, scripts for Redis, the page, and the marker that says the code is typed.
ALLOWED_SUFFIXES = {".css", ".html", ".js", ".json", ".lua", ".py"}
ALLOWED_NAMES = {"py.typed"}
# What tools leave behind in a work tree; never packed, and no reason to stop.
LEFTOVERS = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".DS_Store"}


class PackagingError(Exception):
    """Something in functions/ that must not be deployed, or is missing."""


def function_names(source: Path) -> list[str]:
    """The functions in `source`, sorted: every folder but the library, each with its handler.

    Raises:
        PackagingError: the library is missing, or a folder has code but no handler.py.
    """
    folders = {path.name for path in source.iterdir() if path.is_dir() and path.name not in LEFTOVERS}
    if LIBRARY not in folders:
        raise PackagingError(f"{source / LIBRARY} is missing: every function needs the library")
    names = sorted(name for name in folders - {LIBRARY} if any((source / name).rglob("*.py")))
    for name in names:
        if not (source / name / "handler.py").is_file():
            raise PackagingError(f"{source / name} has no handler.py: a function's folder needs one")
    return names


def contents(source: Path, folder: str) -> dict[str, bytes | Path]:
    """The files of `source/folder` to pack, by their name in the archive.

    Raises:
        PackagingError: naming every file that is not code, and every link.
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
        raise PackagingError(
            f"functions hold code only, so these files in {source} are not deployed: "
            f"{', '.join(map(str, unexpected))}; move or delete them"
        )
    return entries


def package_functions(source: Path, target: Path) -> dict[str, str]:
    """Packs every function of `source` into `target`; returns each archive's SHA-256 by function.

    Archives of functions that are no longer there are deleted.

    Raises:
        PackagingError: as `function_names` and `contents`; then no archive is changed.
    """
    library = contents(source, LIBRARY)
    planned = {name: library | contents(source, name) for name in function_names(source)}
    for old in target.glob("*.zip"):
        if old.stem not in planned:
            old.unlink()
    return {name: write_zip(target / f"{name}.zip", entries) for name, entries in planned.items()}


def main() -> int:
    """Packs the repository's functions and prints what was made."""
    parser = argparse.ArgumentParser(description="Pack each function into build/functions/NAME.zip.")
    parser.add_argument("--quiet", action="store_true", help="print errors only")
    arguments = parser.parse_args()
    target = REPOSITORY / "build" / "functions"
    try:
        hashes = package_functions(REPOSITORY / "functions", target)
    except PackagingError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    if not arguments.quiet:
        for name, digest in hashes.items():
            archive = target / f"{name}.zip"
            print(f"{archive.relative_to(REPOSITORY)}  {archive.stat().st_size / 1024:.0f} KiB  sha256 {digest[:16]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
