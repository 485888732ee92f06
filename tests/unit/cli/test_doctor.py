"""``lnn doctor``: what it finds, and what it says about what it does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

if TYPE_CHECKING:
    from support.aws_account import RunCli, World


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A checkout with everything built, and a terraform on PATH; returns the build folder."""
    build = tmp_path / "checkout" / "build"
    for name in ("layers/numpy-h5py-local.zip", "layers/numpy-h5py-python3.13-arm64.zip"):
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).touch()
    (build / "functions").mkdir()
    for name in ("launch", "trainer", "neuron", "register", "predict"):
        (build / "functions" / f"{name}.zip").touch()
    monkeypatch.setattr("lnn_cli.commands.doctor.repository", lambda: tmp_path / "checkout")
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho \'{"terraform_version": "1.11.4"}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return build


def findings(cli: RunCli, *arguments: str) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(cli("doctor", "--json", *arguments).stdout)}


def test_what_is_deployed_is_ok_and_what_is_not_is_named_with_the_command(cli: RunCli, world: World) -> None:
    found = findings(cli)
    assert found["terraform"]["detail"].startswith("1.11.4")
    assert [found[name]["state"] for name in ("python", "layer", "packages", "cloud", "bucket", "tables")] == ["ok"] * 6
    assert found["functions"] == {
        "name": "functions",
        "state": "missing",
        "detail": "not deployed: lnn-launch, lnn-trainer, lnn-neuron, lnn-register, lnn-predict",
        "mend": "make deploy",
    }


def test_something_missing_is_exit_status_1_with_the_command_that_mends_it(cli: RunCli, world: World) -> None:
    result = cli("doctor")
    assert result.exit_code == 1
    assert (
        "not deployed: lnn-launch, lnn-trainer, lnn-neuron, lnn-register, lnn-predict; run: make deploy"
        in result.stdout
    )
    assert result.stderr == "error: 1 of 8 checks failed; mend it with: make deploy\n"


def test_everything_there_is_exit_status_0(cli: RunCli, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnn_client.cloud.Cloud.functions", Mock())
    result = cli("doctor")
    assert result.exit_code == 0, result.output
    assert "everything needed is there" in result.stdout


def test_a_table_of_another_prefix_is_not_taken_for_ours(cli: RunCli, world: World) -> None:
    found = findings(cli, "--prefix", "other")
    assert found["tables"]["detail"] == "not deployed: other-runs, other-costs, other-invocations, other-models"
    assert found["bucket"]["state"] == "missing"


def test_a_local_cloud_that_is_down_leaves_the_rest_unknown(cli: RunCli, machine: Path) -> None:
    found = findings(cli, "--target", "local")
    assert (found["cloud"]["state"], found["cloud"]["mend"]) == ("missing", "make up")
    assert found["resources"]["state"] == "unknown"
    assert cli("doctor", "--target", "local").stdout.count("make up") >= 1


def test_missing_builds_are_needed_at_home_and_optional_on_aws(cli: RunCli, world: World, machine: Path) -> None:
    (machine / "functions" / "neuron.zip").unlink()
    for layer in (machine / "layers").iterdir():
        layer.unlink()
    at_home, on_aws = findings(cli, "--target", "local"), findings(cli, "--target", "aws")
    for name, mend in (("layer", "make layer"), ("packages", "make package")):
        assert (at_home[name]["state"], at_home[name]["mend"]) == ("missing", mend)
        assert on_aws[name]["state"] == "optional"


def test_terraform_that_is_missing_or_broken_says_where_to_get_it(cli: RunCli, world: World, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "terraform"
    program.write_text("#!/bin/sh\nexit 3\n")
    assert findings(cli)["terraform"]["state"] == "missing"
    program.unlink()
    assert "developer.hashicorp.com" in findings(cli)["terraform"]["mend"]


def test_a_python_that_is_too_old_is_told(cli: RunCli, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1, "final", 0))
    assert findings(cli)["python"]["state"] == "missing"
