"""The native tests pass, and the configuration is easy to find one's way in; `make lint` validates and formats it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.terraform_plans import CONFIGURATION, failures

FOLDERS = [CONFIGURATION, *sorted(path for path in (CONFIGURATION / "modules").iterdir() if path.is_dir())]
BLOCK = re.compile(r'^(?P<kind>variable|output) "(?P<name>\w+)" \{\n(?P<body>.*?)^\}', re.MULTILINE | re.DOTALL)

# `deployed` runs the one that is left out.
NATIVE = sorted(
    path.name.removesuffix(".tftest.hcl")
    for path in (CONFIGURATION / "tests").glob("*.tftest.hcl")
    if path.name != "deployment.tftest.hcl"
)

by_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def blocks(folder: Path, kind: str) -> dict[str, str]:
    return {match["name"]: match["body"] for match in BLOCK.finditer((folder / f"{kind}s.tf").read_text())}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("file", NATIVE)
def test_every_native_test_passes(file: str, native: Callable[[str], list[dict[str, Any]]]) -> None:
    assert failures(native(file)) == {}


def test_the_scanner_skips_at_most_ten_checks_and_each_skip_has_its_reason() -> None:
    skips = [
        line.strip()
        for path in CONFIGURATION.rglob("*.tf")
        for line in path.read_text().splitlines()
        if "checkov:skip" in line
    ]
    assert 0 < len(skips) <= 10
    assert [skip for skip in skips if not re.fullmatch(r"#checkov:skip=CKV2?_AWS_\d+:\S.{20,}", skip)] == []


@pytest.mark.parametrize("folder", FOLDERS[1:], ids=lambda folder: folder.name)
def test_every_module_has_its_five_files(folder: Path) -> None:
    expected = {"README.md", "main.tf", "outputs.tf", "variables.tf", "versions.tf"}
    assert expected <= {path.name for path in folder.iterdir()}


@by_folder
@pytest.mark.parametrize("kind", ["variable", "output"])
def test_variables_and_outputs_are_in_alphabetical_order_and_described(folder: Path, kind: str) -> None:
    found = blocks(folder, kind)
    assert found
    assert list(found) == sorted(found)
    assert [name for name, body in found.items() if "  description " not in body] == []


@by_folder
def test_every_variable_has_a_type(folder: Path) -> None:
    assert [
        name for name, body in blocks(folder, "variable").items() if not re.search(r"^  type +=", body, re.MULTILINE)
    ] == []


@by_folder
def test_aws_is_the_only_provider(folder: Path) -> None:
    text = (folder / "versions.tf").read_text()
    assert re.findall(r'source += "(.+)"', text) == ["hashicorp/aws"]
    assert re.findall(r'version += "(.+)"', text)[-1] == "~> 5.100"
