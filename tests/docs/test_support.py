"""The table of what is supported says what the code, Terraform and the lock file say."""

from __future__ import annotations

import re
import tomllib

import pytest

from lnn_tools.packaging import layer
from support.repository import REPOSITORY

VARIABLES = (REPOSITORY / "terraform" / "variables.tf").read_text()


def row(what: str) -> str:
    """The cells of the row that begins so."""
    (found,) = [
        line for line in (REPOSITORY / "docs" / "support.md").read_text().splitlines() if line.startswith(f"| {what}")
    ]
    return found


def variable(name: str) -> str:
    (block,) = re.findall(rf'^variable "{name}" \{{\n(.*?)^\}}', VARIABLES, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_versions_of_python_are_those_of_the_package_and_of_the_workflow() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    oldest, following = re.findall(r"3\.(\d+)", project["requires-python"])
    versions = [f"3.{minor}" for minor in range(int(oldest), int(following))]
    assert f"| {', '.join(versions)} |" in row("Python, on your machine")
    assert str(versions).replace("'", '"') in (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()


@pytest.mark.parametrize(
    ("name", "what", "built"),
    [
        ("runtime", "Python, in the functions", layer.RUNTIMES),
        ("architecture", "processors, of the functions", tuple(layer.MACHINES)),
    ],
)
def test_what_the_functions_run_on_is_what_a_layer_is_built_for(name: str, what: str, built: tuple[str, ...]) -> None:
    (allowed,) = re.findall(rf"contains\(\[(.*?)\], var\.{name}\)", variable(name))
    (default,) = re.findall(r'^  default\s*= "(.*?)"$', variable(name), re.MULTILINE)
    supported = row(what).split("|")[2]
    assert sorted(re.findall(r"python[\d.]+|arm64|x86_64", supported)) == sorted(built)
    assert set(built) <= set(re.findall(r'"(.*?)"', allowed))
    assert f"{default} (the default)" in supported


def test_terraform_its_provider_and_the_cache_are_those_of_the_configuration() -> None:
    versions = (REPOSITORY / "terraform" / "versions.tf").read_text()
    (terraform,) = re.findall(r'required_version = ">= ([\d.]+)"', versions)
    assert f"| {terraform} or newer" in row("Terraform")
    (provider,) = re.findall(r'version\s*= "~> ([\d.]+)"', versions)
    assert f"| {provider} and newer {provider.partition('.')[0]}.x" in row("AWS provider")
    (locked,) = re.findall(
        r'^  version\s*= "(.*?)"', (REPOSITORY / "terraform/.terraform.lock.hcl").read_text(), re.MULTILINE
    )
    assert f"| {locked} |" in row("AWS provider")
    (engine,) = re.findall(r'engine_version\s*= optional\(string, "(.*?)"\)', variable("cache"))
    assert f"| Valkey {engine} on AWS" in row("cache")
