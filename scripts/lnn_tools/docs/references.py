"""Writes the generated parts of docs/: the commands from the `lnn` command itself, the parameters from their model.

With --check it changes nothing, and exits with 1 where a page is behind its source.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from lnn_tools.docs import commands, parameters

DOCS = Path(__file__).resolve().parents[3] / "docs"
BEGIN, END = "<!-- made by lnn_tools.docs.references -->", "<!-- /made -->"


def between(page: Path, make: Callable[[], str]) -> str:
    """The page's text with its generated part, between the two comments, made anew."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} has no place for its generated part: put {BEGIN} and {END} into it")
    return f"{before}{BEGIN}\n{make()}\n{END}{after}"


def made(docs: Path = DOCS) -> dict[Path, str]:
    """The text that each page must have."""
    return {
        docs / "cli.md": between(docs / "cli.md", commands.reference),
        docs / "parameters.md": between(docs / "parameters.md", parameters.table),
    }


def main() -> int:
    """Writes or compares."""
    parser = argparse.ArgumentParser(description="Keep the generated parts of docs/ up to date.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file is behind")
    check = parser.parse_args().check
    behind = {file: text for file, text in made().items() if file.read_text() != text}
    for file, text in behind.items():
        if check:
            print(f"references: docs/{file.name} is behind: run make docs", file=sys.stderr)
        else:
            file.write_text(text)
    return 1 if check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
