"""Plans of the Terraform configuration, made offline from a copy of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tftest

from support.ec2_zones import answering
from support.repository import REPOSITORY
from support.terraform_plans import ACCOUNT, CONFIGURATION, HERE, Resources, failures, inventory, walk


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.terraform)
            # One worker for all: they share a configuration that takes seconds to initialize.
            item.add_marker(pytest.mark.xdist_group("terraform"))


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tftest.TerraformTest]:
    """The configuration, copied, with empty builds beside it, and initialized."""
    folder = tmp_path_factory.mktemp("repository")
    configuration = folder / "terraform"
    shutil.copytree(CONFIGURATION, configuration, ignore=shutil.ignore_patterns(".terraform", "*.tfstate*"))
    shutil.copy(HERE / "offline_override.tf", configuration)
    shutil.copy(REPOSITORY / "parameters.json", folder)
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
        archive = folder / "build" / f"{name}.zip"
        archive.parent.mkdir(parents=True, exist_ok=True)
        zipfile.ZipFile(archive, "w").close()

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


@pytest.fixture(scope="session")
def native(terraform: tftest.TerraformTest) -> Callable[..., list[dict[str, Any]]]:
    """Runs files of native tests and returns what Terraform reports, event by event."""

    def events(*files: str, verbose: bool = False) -> list[dict[str, Any]]:
        filters = [f"-filter=tests/{file}.tftest.hcl" for file in files]
        # Only where it is asked for: each state that is printed takes seconds.
        printing = ["-verbose"] if verbose else []
        report = subprocess.run(
            ["terraform", "test", "-json", *printing, *filters],
            cwd=terraform.tfdir,
            env=terraform.env,
            capture_output=True,
            text=True,
            check=False,
        )
        return [json.loads(line) for line in report.stdout.splitlines() if line.startswith("{")]

    return events


@pytest.fixture(scope="session")
def deployed(native: Callable[..., list[dict[str, Any]]]) -> Resources:
    """Every resource by address, of the deployment that a native test makes of mocks: all its values are known."""
    report = native("deployment", verbose=True)
    assert failures(report) == {}
    states = [event["test_state"] for event in report if event["type"] == "test_state"]
    assert len(states) == 1, "the run `defaults` printed no state"
    return {resource["address"]: resource for resource in walk(states[0]["root_module"])}
