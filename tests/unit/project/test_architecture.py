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

HOMES = {
    # Clients are built in one place; items take DynamoDB's own reading and writing of numbers.
    "boto3": {"lnn/wiring.py", "lnn/aws/dynamodb_items.py"},
    # Who talks to a service turns its errors into the library's; the cache signs its login with botocore.
    "botocore": {
        "lnn/parameter_server/connection.py",
        "lnn/wiring.py",
        "lnn/aws/invoker.py",
        "lnn/runs/store.py",
        "lnn/aws/notifier.py",
        "lnn/aws/s3_client.py",
        "lnn/aws/client_errors.py",
        "lnn/serving/registry.py",
        "lnn/serving/router.py",
    },
    # Logs and metrics are written with it, and Launch is idempotent with it; the handlers name its type of a context.
    "aws_lambda_powertools": {*HANDLERS, "lnn/runs/logs.py", "lnn/aws/idempotency.py", "lnn/runs/metrics.py"},
    # Only Launch reads settings and datasets: Trainer and Neuron start without either library.
    "pydantic": {"lnn/job/hyperparameters.py"},
    # Read in lnn/data/hdf5.py, written by the others: test_hdf5_homes holds all of the repository to that.
    "h5py": {"lnn/models/model_file.py", "lnn/data/dataset.py", "lnn/data/hdf5.py"},
    # Pictures are read in one way, for training and for predictions.
    "PIL": {"lnn/data/images.py"},
}
S3_PREFIX = re.compile(r"\b(training_input|training_results|prediction_input|runs)/")


def imports(tree: ast.Module) -> Iterator[str]:
    """Top-level packages that a module imports when it runs, wherever in it; type checking does not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """String constants, parts of f-strings included, docstrings not."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


def test_the_modules_are_found() -> None:
    assert {"lnn/names.py", "lnn/parameter_server/server.py", "lnn/network/layers.py"} < set(MODULES)
    assert len(HANDLERS) >= 3


@pytest.mark.parametrize("package", HOMES)
def test_a_package_is_imported_in_its_homes_only(package: str) -> None:
    users = {path for path, tree in MODULES.items() if package in imports(tree)}
    assert users, f"nobody imports {package}: take it out of this test"
    assert users <= HOMES[package]


def test_no_module_but_settings_and_launch_s_own_loads_pydantic_or_the_dataset_reader() -> None:
    launch_only = {"lnn.job.hyperparameters", "lnn.launch", "lnn.data.uploads", "lnn.aws.idempotency"}
    for path in ("trainer/handler.py", "neuron/handler.py", "lnn/train.py", "lnn/strategies/neuron/trainer.py"):
        imported = {node.module for node in ast.walk(MODULES[path]) if isinstance(node, ast.ImportFrom) and node.module}
        assert not imported & launch_only, path


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
