"""The rules that keep each concern in its one home. Contracts of import-linter (pyproject.toml) keep packages apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import lnn

FUNCTIONS = Path(lnn.__file__).parents[1]
MODULES = {path.relative_to(FUNCTIONS).as_posix(): ast.parse(path.read_text()) for path in FUNCTIONS.glob("**/*.py")}
HANDLERS = [path for path in MODULES if path.endswith("/handler.py")]

S3_PREFIX = re.compile(r"\b(training_input|training_results|prediction_(?:input|output)|runs)/")


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """String constants, parts of f-strings included, docstrings not."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def test_the_modules_are_found() -> None:
    assert {"lnn/names.py", "lnn/parameter_server/server.py", "lnn/network/layers.py"} < set(MODULES)
    assert len(HANDLERS) >= 3


def test_the_library_has_few_modules_beside_its_packages() -> None:
    beside = [path for path in MODULES if re.fullmatch(r"lnn/\w+\.py", path) and path != "lnn/__init__.py"]
    assert len(beside) <= 7, "what belongs together is a package: docs/architecture.md"


@pytest.mark.parametrize("path", HANDLERS)
def test_a_handler_has_no_arithmetic(path: str) -> None:
    found = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(MODULES[path])
        if isinstance(node, ast.BinOp | ast.AugAssign)
    ]
    assert found == []


@pytest.mark.parametrize("path", HANDLERS)
def test_a_handler_is_short(path: str) -> None:
    for node in ast.walk(MODULES[path]):
        if isinstance(node, ast.FunctionDef):
            assert len(node.body) <= 8, f"{path}: {node.name}"


def test_s3_keys_are_composed_in_names_only() -> None:
    found = [
        f"{path}:{text.lineno}: {text.value}"
        for path, tree in MODULES.items()
        if path != "lnn/names.py"
        for text in texts(tree)
        if S3_PREFIX.search(str(text.value))
    ]
    assert found == []


def test_redis_keys_are_composed_in_the_cache_only() -> None:
    found = [
        f"{path}:{text.lineno}: {text.value}"
        for path, tree in MODULES.items()
        if path != "lnn/parameter_server/server.py"
        for text in texts(tree)
        if str(text.value).startswith("lnn:")
    ]
    assert found == []
