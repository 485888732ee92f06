"""``lnn.data.hdf5`` is the only home of reading HDF5: nothing else opens a file but to write a new one."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import pytest

from support.repository import REPOSITORY

FOLDERS = ("benchmarks", "cli", "client", "examples", "functions", "notebooks", "scripts", "terraform")
"""Whatever runs for a user; tests make files of every kind, and look into them."""

READER = "functions/lnn/data/hdf5.py"
WRITERS = {
    "benchmarks/lnnbench/jobs.py",
    "client/lnn_client/dataset_files.py",
    "functions/lnn/models/model_file.py",
    "functions/lnn/data/dataset.py",
}
"""Each opens files in one way only: ``h5py.File(target, "w")``, which reads nothing."""

LIBRARIES = {"h5netcdf", "h5py", "netCDF4", "pyfive", "tables"}
"""What reads HDF5."""
MODULE = re.compile(r"h5py(\.\w+)*")
"""The name of one, as ``importlib`` takes it."""
BY_PANDAS = {"HDFStore", "read_hdf"}


def sources() -> dict[str, str]:
    """All Python of the folders by its path, the code of notebooks included."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            name = path.relative_to(REPOSITORY).as_posix()
            if path.suffix == ".py":
                found[name] = path.read_text()
            elif path.suffix == ".ipynb" and ".ipynb_checkpoints" not in path.parts:
                found[name] = code_of(json.loads(path.read_text()))
    return found


def code_of(notebook: dict[str, list[dict[str, object]]]) -> str:
    """Every cell of code; lines that are IPython's own (%, !) are no Python."""
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]  # type: ignore[arg-type]
    lines = "\n".join(cells).splitlines()
    return "\n".join("pass" if line.lstrip()[:1] in {"%", "!"} else line for line in lines)


def breaches(source: str, *, writer: bool) -> Iterator[str]:
    """Whatever in a module could read an HDF5 file."""
    tree = ast.parse(source)
    without_type_checking(tree)
    allowed = writes_of(tree) if writer else set()
    for node in ast.walk(tree):
        if (writer and is_plain_import(node)) or id(node) in allowed:
            continue
        if (
            (isinstance(node, ast.Import) and any(is_library(name.name) for name in node.names))
            or (isinstance(node, ast.ImportFrom) and is_library(node.module or ""))
            or (writer and isinstance(node, ast.Name) and node.id == "h5py")
            or (isinstance(node, ast.Constant) and MODULE.fullmatch(str(node.value)) is not None)
            or (isinstance(node, ast.Attribute) and node.attr in BY_PANDAS)
        ):
            yield f"line {node.lineno}: {ast.unparse(node)}"


def without_type_checking(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]


def writes_of(tree: ast.Module) -> set[int]:
    """The names in calls ``h5py.File(target, "w")``, and nothing more than that."""
    return {
        id(node.func.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "h5py.File"
        and len(node.args) == 2
        and not node.keywords
        and isinstance(node.args[1], ast.Constant)
        and node.args[1].value == "w"
    }


def is_plain_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import) and ast.unparse(node) == "import h5py"


def is_library(name: str) -> bool:
    return name.partition(".")[0] in LIBRARIES


SOURCES = sources()


def test_the_sources_are_found() -> None:
    assert {READER, *WRITERS, "notebooks/Codebook.ipynb", "scripts/lnn_tools/packaging/layer.py"} <= set(SOURCES)


@pytest.mark.parametrize("path", sorted(set(SOURCES) - {READER}))
def test_nothing_but_the_one_module_can_open_an_hdf5_file_to_read_it(path: str) -> None:
    assert list(breaches(SOURCES[path], writer=path in WRITERS)) == []


@pytest.mark.parametrize("path", sorted(WRITERS))
def test_a_writer_is_one(path: str) -> None:
    assert writes_of(ast.parse(SOURCES[path])), f"{path} writes no HDF5 file: take it out of this test"


@pytest.mark.parametrize(
    "code",
    [
        "h5py.File(path)",
        'h5py.File(path, "r")',
        'h5py.File(path, "r+")',
        'h5py.File(path, "a")',
        'h5py.File(path, mode="w")',
        'h5py.File(path, "w", driver="core")',
        "h5py.File(path, mode)",
        "h5py.h5f.open(path)",
        'getattr(h5py, "File")(path)',
        "opened = h5py.File",
        "from h5py import File",
        "from h5py.h5f import open",
        "import h5py as h",
        "import h5py.h5f",
        "import tables",
        'importlib.import_module("h5py")',
        'importlib.import_module("h5py.h5f")',
        "pd.read_hdf(path)",
    ],
)
@pytest.mark.parametrize("writer", [False, True])
def test_the_rule_sees_every_way_to_read_a_file(code: str, writer: bool) -> None:
    assert list(breaches(code if "import" in code else f"import h5py\n{code}", writer=writer))


def test_the_rule_lets_only_writers_write() -> None:
    code = 'import h5py\nwith h5py.File(path, "w") as file:\n    pass\n'
    assert list(breaches(code, writer=True)) == []
    assert list(breaches(code, writer=False)) == ["line 1: import h5py"]
