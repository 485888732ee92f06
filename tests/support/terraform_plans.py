"""What the tests of the plans share: the shapes, their inventories, and a walk over a plan."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from support.repository import REPOSITORY

HERE = REPOSITORY / "tests" / "terraform"
CONFIGURATION = REPOSITORY / "terraform"
INVENTORIES = HERE / "inventories"
SHAPES = sorted(path.stem for path in INVENTORIES.glob("*.yaml"))
ACCOUNT = "123456789012"

Resources = dict[str, dict[str, Any]]


def inventory(shape: str) -> dict[str, Any]:
    """What a shape is made with, and what it must plan."""
    return yaml.safe_load((INVENTORIES / f"{shape}.yaml").read_text())


def empty_builds(repository: Path) -> None:
    """Empty archives where a plan looks for what `make layer package` builds."""
    for name in (
        "functions/launch",
        "functions/neuron",
        "functions/predict",
        "functions/register",
        "functions/trainer",
        "layers/numpy-h5py-local",
        "layers/numpy-h5py-python3.13-arm64",
        "notebook",
    ):
        archive = repository / "build" / f"{name}.zip"
        archive.parent.mkdir(parents=True, exist_ok=True)
        zipfile.ZipFile(archive, "w").close()


def of_function(role: str, resource: str) -> str:
    """The address of a function's resource."""
    return f'module.functions["{role}"].{resource}'


def walk(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every resource of a module and of those in it."""
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from walk(child)


def documents(value: Any) -> Iterator[dict[str, Any]]:
    """Every policy document in a planned value, however deep."""
    if isinstance(value, dict):
        if "Statement" in value:
            yield value
        else:
            for part in value.values():
                yield from documents(part)
    elif isinstance(value, list):
        for part in value:
            yield from documents(part)
    elif isinstance(value, str) and '"Statement"' in value:
        yield json.loads(value)


def failures(report: list[dict[str, Any]]) -> dict[str, str]:
    """The runs of native tests that did not pass, and the errors that stopped them."""
    ended = [event["test_run"] for event in report if event["type"] == "test_run" and "status" in event["test_run"]]
    errors = [event["diagnostic"]["summary"] for event in report if event["type"] == "diagnostic"]
    failed = {f"{run['path']}: {run['run']}": run["status"] for run in ended if run["status"] != "pass"}
    return failed if ended else {"no run": f"ended: {errors}"}
