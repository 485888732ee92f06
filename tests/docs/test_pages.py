"""Pages are wrapped alike, and each file that a page names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from support.repository import REPOSITORY
from support.shown_commands import pages

COLUMNS = 100
MADE = re.compile(r"<!-- (made|benchmark)\b.*?<!-- /\1 -->", re.DOTALL)
"""Parts of a page that a program writes."""
TOPS = {path.name for path in REPOSITORY.iterdir() if path.is_dir()} - {".lnn"}
BUILT = ("build/", "terraform/terraform.tf", ".venv")
"""Beginnings of paths that commands make and the repository does not hold."""
MODULE = re.compile(r"(?:lnn|lnn_cli|lnn_client|lnn_tools|lnnbench|chaos|support)(?:\.\w+)+")
ROOTS = [REPOSITORY / folder for folder in ("functions", "cli", "client", "scripts", "benchmarks", "tests")]
PAST = ("CHANGELOG.md", "docs/adr/")
"""Pages that say what was so at a time: what they name may have moved since."""
PAGES = [page for page in pages() if page.name != "bench.md" and page != REPOSITORY / "docs" / "cli.md"]


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def long_lines(text: str) -> list[str]:
    """Lines of paragraphs past the limit. A line without a blank, a table and a block of code may be wider."""
    lines = text.splitlines()
    made = {
        number
        for part in MADE.finditer(text)
        for number in range(text.count("\n", 0, part.start()), text.count("\n", 0, part.end()) + 1)
    }
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    paragraphs = [token.map for token in tokens if token.type == "paragraph_open" and token.map]
    return [
        lines[number]
        for first, last in paragraphs
        for number in range(first, last)
        if number not in made and len(lines[number]) > COLUMNS and " " in lines[number].strip("- ")
    ]


def missing_files(text: str) -> list[str]:
    """What stands as code, looks like a file or folder of this repository and is not there."""
    missing = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for inline in token.children or []:
            code = inline.content
            if inline.type != "code_inline" or not re.fullmatch(r"[\w.*{},/-]+", code) or code.startswith(BUILT):
                continue
            is_path = code.partition("/")[0] in TOPS and "/" in code.rstrip("/")
            if (is_path and not _there(code)) or (MODULE.fullmatch(code) and not _is_imported_as(code)):
                missing.append(code)
    return missing


def _is_imported_as(code: str) -> bool:
    """Whether a dotted name is a package, a module, or a name in a module."""
    path, _, name = code.replace(".", "/").rpartition("/")
    for root in ROOTS:
        if (root / path / name).is_dir() or (root / path / f"{name}.py").is_file():
            return True
        module = root / f"{path}.py"
        if module.is_file() and re.search(rf"^(def |class )?{name}\b", module.read_text(), re.MULTILINE):
            return True
    return False


def _there(code: str) -> bool:
    """Whether a path, of which `*` and `{a,b}` stand for several, names something in the repository."""
    if choice := re.search(r"\{([^}]*)\}", code):
        return all(_there(code.replace(choice[0], one)) for one in choice[1].split(","))
    return any(REPOSITORY.glob(code.rstrip("/")))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_prose_is_wrapped_at_100_columns(page: Path) -> None:
    assert long_lines(page.read_text()) == []


@pytest.mark.parametrize("page", [page for page in PAGES if not name_of(page).startswith(PAST)], ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    assert missing_files(page.read_text()) == []


@pytest.mark.parametrize(
    "code", ["functions/lnn/gone.py", "docs/*.rst", "functions/{launch,gone}", "lnn.gone", "lnn.launch.gone"]
)
def test_a_file_that_is_gone_is_found(code: str) -> None:
    assert missing_files(f"See `{code}`, `terraform/modules` and `lnn.errors`.") == [code]


def test_a_line_that_is_too_long_is_found() -> None:
    long = "word " * 25 + "end"
    assert long_lines(f"{long}\n\n- {long}\n\n| {long} |\n|---|\n") == [long, f"- {long}"]
