"""Writes the generated parts of pages: the `lnn` command's reference, the parameters, the Terraform modules' variables.

With --check it changes nothing, and exits with 1 where a page is behind its source.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lnn_tools.docs import commands, parameters, terraform_modules

REPOSITORY = Path(__file__).resolve().parents[3]
BEGIN, END = "<!-- made by lnn_tools.docs.references -->", "<!-- /made -->"


def between(page: Path, make: Callable[[], str]) -> str:
    """The page's text with its generated part, between the two comments, made anew."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page.name} has no place for its generated part: put {BEGIN} and {END} into it")
    return f"{before}{BEGIN}\n{make()}\n{END}{after}"


def generated() -> dict[Path, str]:
    """The text that each page must have."""
    makers: dict[Path, Callable[[], str]] = {
        REPOSITORY / "docs" / "cli.md": commands.reference,
        REPOSITORY / "docs" / "parameters.md": parameters.table,
    }
    for module in sorted((REPOSITORY / "terraform" / "modules").iterdir()):
        makers[module / "README.md"] = partial(terraform_modules.tables, module)
    return {page: between(page, make) for page, make in makers.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep the generated parts of pages up to date.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file is behind")
    check = parser.parse_args().check
    behind = {file: text for file, text in generated().items() if file.read_text() != text}
    for file, text in behind.items():
        if check:
            print(f"references: {file.relative_to(REPOSITORY)} is behind its source: run make docs", file=sys.stderr)
        else:
            file.write_text(text)
    return 1 if check and behind else 0


if __name__ == "__main__":
    sys.exit(main())
