"""Pages are wrapped alike, and each file that a page names is there."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
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
MODULE = re.compile(r"(?:(?:lnn|lnn_cli|lnn_client|lnn_tools|lnnbench|chaos|support)|\w+\.handler)(?:\.\w+)+")
ROOTS = [REPOSITORY / folder for folder in ("functions", "cli", "client", "scripts", "benchmarks", "tests")]
PAST = ("CHANGELOG.md", "docs/adr/")
"""Pages that say what was so at a time: what they name may have moved since."""
MADE_WHOLE = ("docs/cli.md", *(f"benchmarks/results/{name}.md" for name in ("bench", "scale", "snapshots")))
PAGES = [page for page in pages() if str(page.relative_to(REPOSITORY)) not in MADE_WHOLE]


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
    """Whether a dotted name is a package, a module, or a function, a class, a constant or a method in one."""
    for root in ROOTS:
        place = root
        rest = code.split(".")
        while rest and (place / rest[0]).is_dir():
            place /= rest.pop(0)
        if not rest and place != root:
            return True
        if rest and (module := place / f"{rest[0]}.py").is_file():
            return _holds(ast.parse(module.read_text()), rest[1:])
    return False


def _holds(scope: ast.Module | ast.ClassDef, names: list[str]) -> bool:
    """Whether a module or a class defines the first of the names, and that one the next."""
    if not names:
        return True
    for node in scope.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        defined = {target.id for target in targets if isinstance(target, ast.Name)} | {getattr(node, "name", "")}
        if names[0] in defined:
            return _holds(node, names[1:]) if isinstance(node, ast.ClassDef) else len(names) == 1
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
    "code",
    [
        "functions/lnn/gone.py",
        "docs/*.rst",
        "functions/{launch,gone}",
        "lnn.gone",
        "lnn.launch.gone",
        "lnn.aws.invoker.Invoker.gone",
    ],
)
def test_a_file_that_is_gone_is_found(code: str) -> None:
    assert missing_files(f"See `{code}`, `terraform/modules` and `lnn.aws.invoker.Invoker.invoke_trainer`.") == [code]


def test_a_line_that_is_too_long_is_found() -> None:
    long = "word " * 25 + "end"
    assert long_lines(f"{long}\n\n- {long}\n\n| {long} |\n|---|\n") == [long, f"- {long}"]


def test_each_line_of_the_way_of_an_upload_names_functions_that_there_are() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    way = page.partition("## The way of an upload")[2].partition("\n## ")[0]
    lines = re.split(r"^\d+\. ", way, flags=re.MULTILINE)[1:]
    assert len(lines) == 10
    named = [re.findall(r"`([a-z]+(?:\.\w+){2,})`", line) for line in lines]
    assert all(named)
    assert [name for names in named for name in names if not _is_imported_as(name)] == []


def test_the_map_has_every_package_of_the_library_in_the_order_of_the_contract() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    table = page.partition("### The library")[2].partition("\n## ")[0]
    rows = [set(re.findall(r"`(\w+)`", line.split("|")[1])) for line in table.splitlines() if line.startswith("| `")]
    here = {path.stem for path in (REPOSITORY / "functions" / "lnn").iterdir() if path.stem[0] != "_"}
    assert set().union(*rows) == here
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    order = {
        name.strip().removeprefix("lnn."): place for place, layer in enumerate(layers) for name in layer.split("|")
    }
    places = [min(order[name] for name in row) for row in rows]
    assert places == sorted(places)


def test_the_map_has_every_folder_of_the_repository() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    tree = page.partition("## The tree")[2].partition("### The library")[0]
    tracked = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    folders = {line.partition("/")[0] for line in tracked.splitlines() if "/" in line and line[0] != "."}
    assert [folder for folder in sorted(folders) if f"`{folder}" not in tree] == []
