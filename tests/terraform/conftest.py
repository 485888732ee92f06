"""Plans of the Terraform configuration, made offline from a copy of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tftest

from support.ec2_zones import answering
from support.repository import REPOSITORY
from support.terraform_plans import ACCOUNT, CONFIGURATION, HERE, Resources, empty_builds, failures, inventory, walk

DEPLOYMENT = "tests/deployment.tftest.hcl"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.terraform)


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tftest.TerraformTest]:
    """The configuration, copied, with empty builds beside it, and initialized."""
    folder = tmp_path_factory.mktemp("repository")
    configuration = folder / "terraform"
    shutil.copytree(CONFIGURATION, configuration, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*"))
    shutil.copy(HERE / "offline_override.tf", configuration)
    # Not the repository's: what is in the states that test_upgrade plans from has the hash of this one.
    (folder / "parameters.json").write_text("{}\n")
    empty_builds(folder)

    mirror = subprocess.run(
        [REPOSITORY / "scripts" / "provider_mirror.sh"], capture_output=True, text=True, check=True
    ).stdout
    run = tftest.TerraformTest(str(configuration))
    run.env = {name: value for name, value in run.env.items() if not name.startswith(("AWS_", "TF_"))}
    run.env["CHECKPOINT_DISABLE"] = "1"
    run.setup(**({"plugin_dir": mirror} if mirror else {}))
    with answering() as ec2:
        run.env["AWS_ENDPOINT_URL_EC2"] = ec2
        yield run
    shutil.rmtree(configuration / ".terraform", ignore_errors=True)


@pytest.fixture(scope="session")
def plan(terraform: tftest.TerraformTest) -> Callable[..., Resources]:
    """Planned values of every resource by address, for files of variables and for variables.

    Raises:
        tftest.TerraformTestError: Terraform refuses them, and says why.
    """

    @cache
    def resources(*files: str, variables: str) -> Resources:
        given = Path(terraform.tfdir) / "given.tfvars.json"
        given.write_text(variables)
        made = terraform.plan(output=True, lock=False, tf_var_file=[*files, given.name])
        return {resource["address"]: resource for resource in walk(made["planned_values"]["root_module"])}

    def of(*files: str, **variables: Any) -> Resources:
        return resources(*files, variables=json.dumps({"account_id": ACCOUNT} | variables))

    return of


@pytest.fixture(scope="session")
def planned(plan: Callable[..., Resources]) -> Callable[[str], Resources]:
    """Planned values of every resource by address, for the shape that an inventory names."""

    def resources(shape: str) -> Resources:
        given = inventory(shape)
        return plan(*given.get("variable_files", []), **given.get("variables", {}))

    return resources


def tested(terraform: tftest.TerraformTest, *options: str) -> list[dict[str, Any]]:
    """What Terraform reports of native tests, event by event."""
    report = subprocess.run(
        ["terraform", "test", "-json", *options],
        cwd=terraform.tfdir,
        env=terraform.env,
        capture_output=True,
        text=True,
        check=False,
    )
    return [json.loads(line) for line in report.stdout.splitlines() if line.startswith("{")]


@pytest.fixture(scope="session")
def native(terraform: tftest.TerraformTest) -> Callable[[str], list[dict[str, Any]]]:
    """What Terraform reports of a file of native tests: one process runs all but the one that ``deployed`` runs."""
    paths = [f"tests/{path.name}" for path in sorted((CONFIGURATION / "tests").glob("*.tftest.hcl"))]
    paths.remove(DEPLOYMENT)
    events = tested(terraform, *(f"-filter={path}" for path in paths))
    return lambda file: [event for event in events if event.get("@testfile") == f"tests/{file}.tftest.hcl"]


@pytest.fixture(scope="session")
def deployed(terraform: tftest.TerraformTest) -> Resources:
    """Every resource by address, of the deployment that a native test makes of mocks: all its values are known."""
    report = tested(terraform, f"-filter={DEPLOYMENT}", "-verbose")
    assert failures(report) == {}
    states = [event["test_state"] for event in report if event["type"] == "test_state"]
    assert len(states) == 1, "the run `defaults` printed no state"
    return {resource["address"]: resource for resource in walk(states[0]["root_module"])}
