"""Writes what of docs/ is made from something else; with --check, only compares.

The picture of the flow from docs/flow.toml, the reference of the commands from the `lnn` command itself, that of the
parameters from the settings model.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from lnn_tools.docs import commands, parameters, picture

DOCS = Path(__file__).resolve().parents[3] / "docs"
BEGIN, END = "<!-- made by lnn_tools.docs.references -->", "<!-- /made -->"


def between(page: Path, make: Callable[[], str]) -> str:
    """A page with its made part, between the two comments, as it has to be."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} has no place for what is made: put {BEGIN} and {END} into it")
    return f"{before}{BEGIN}\n{make()}\n{END}{after}"


def made(docs: Path = DOCS) -> dict[Path, str]:
    """What each file has to hold."""
    return {
        docs / "flow.svg": picture.draw(docs / "flow.toml"),
        docs / "cli.md": between(docs / "cli.md", commands.reference),
        docs / "parameters.md": between(docs / "parameters.md", parameters.table),
    }


def main() -> int:
    """Writes or compares; exit status 1 where --check finds a file that is behind."""
    parser = argparse.ArgumentParser(description="Keep the made parts of docs/ up to date.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file is behind")
    check = parser.parse_args().check
    behind = {file: text for file, text in made().items() if not file.exists() or file.read_text() != text}
    for file, text in behind.items():
        if check:
            print(f"references: docs/{file.name} is behind: run make docs", file=sys.stderr)
        else:
            file.write_text(text)
    return 1 if check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
