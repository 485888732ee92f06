"""`make deploy` and `make destroy`: what they ask, where the state is kept, and that nothing happens unasked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

import aws
from awsdeploy import questions
from awsdeploy.errors import DeploymentError
from awsdeploy.folder import CONFIGURATION, Folder, local_state, remote_state
from awsdeploy.state_bucket import ensure_bucket

ACCOUNT = "123456789012"
STATE = {
    "values": {
        "root_module": {
            "child_modules": [
                {
                    "resources": [
                        {
                            "mode": "managed",
                            "type": "aws_s3_bucket",
                            "address": "aws_s3_bucket.this",
                            "values": {"bucket": "lnn-bucket"},
                        },
                        {
                            "mode": "managed",
                            "type": "aws_dynamodb_table",
                            "address": "aws_dynamodb_table.this",
                            "values": {"name": "lnn-runs"},
                        },
                        {
                            "mode": "managed",
                            "type": "aws_dynamodb_table",
                            "address": "aws_dynamodb_table.this",
                            "values": {"name": "lnn-costs"},
                        },
                        {
                            "mode": "data",
                            "type": "aws_partition",
                            "address": "aws_partition.this",
                            "values": {"id": "aws"},
                        },
                    ]
                }
            ]
        }
    }
}


def answering(*answers: str) -> Callable[[str], str]:
    left = iter(answers)
    return lambda question: next(left)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "aws")


@pytest.fixture
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "TF_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """A Terraform that does nothing but write down what it is told, and shows STATE until it has destroyed it."""
    record = tmp_path / "commands"
    (tmp_path / "state").write_text(json.dumps(STATE))
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >>{record}\ncase "$*" in\n'
        f"*' show '*) cat {tmp_path}/state ;;\n"
        f"*' destroy '*) echo '{{}}' >{tmp_path}/state ;;\n"
        'version*) echo \'{"terraform_version": "1.11.4"}\' ;;\nesac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return lambda: [line.split() for line in record.read_text().splitlines()] if record.exists() else []


def test_what_is_asked_once_is_not_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    first = questions.answers(file, {}, answering("eu-central-1", "", "ada@example.org, grace@example.org", "50"))
    assert first == {
        "region": "eu-central-1",
        "prefix": "lnn",
        "emails": ["ada@example.org", "grace@example.org"],
        "monthly_budget_usd": 50.0,
    }
    assert questions.answers(file, {}, answering()) == first


def test_a_wrong_answer_is_explained_and_asked_again(tmp_path: Path) -> None:
    said: list[str] = []
    answers = answering("Ohio", "us-east-2", "Not_A_Prefix", "lnn-2", "nobody", "", "free", "0", "")
    found = questions.answers(tmp_path / "answers.json", {}, answers, said.append)
    assert found == {"region": "us-east-2", "prefix": "lnn-2", "emails": [], "monthly_budget_usd": None}
    assert [line.split()[0] for line in said] == ["'Ohio'", "'Not_A_Prefix'", "'nobody'", "'free'", "'0'"]


def test_what_is_given_to_terraform_in_another_way_is_neither_asked_nor_overridden(tmp_path: Path) -> None:
    (tmp_path / "terraform.tfvars").write_text('region = "eu-west-1"\nemails = ["ada@example.org"]\n')
    given = questions.given({"TF_VAR_prefix": "team", "PATH": "/bin"}, tmp_path)
    assert given["region"] == "eu-west-1"
    assert set(given) == {"region", "emails", "prefix"}
    assert questions.answers(tmp_path / "answers.json", given, answering("")) == {"monthly_budget_usd": None}


def test_a_budget_of_which_nobody_would_hear_is_not_made(tmp_path: Path) -> None:
    said: list[str] = []
    found = questions.answers(tmp_path / "answers.json", {}, answering("", "", "", "50"), said.append)
    assert found["monthly_budget_usd"] is None
    assert "emails" in said[0]


def test_terraform_reads_the_configuration_and_the_builds_by_their_own_paths(folder: Folder) -> None:
    folder.link()
    folder.keep_state(local_state())
    assert (folder.configuration / "main.tf").read_text() == (CONFIGURATION / "main.tf").read_text()
    assert (folder.configuration / "modules" / "vpc" / "main.tf").exists()
    assert (folder.configuration / "../parameters.json").exists()
    assert not (folder.configuration / "tests").exists()
    backend = json.loads((folder.configuration / "backend.tf.json").read_text())
    assert backend["terraform"]["backend"]["local"]["path"].endswith("/terraform/terraform.tfstate")
    assert not (CONFIGURATION / "backend.tf.json").exists()
    lock = folder.configuration / ".terraform.lock.hcl"
    lock.unlink()
    lock.write_text("of an earlier release, which kept its own\n")
    folder.link()  # again, over what is there
    assert lock.read_text() == (CONFIGURATION / ".terraform.lock.hcl").read_text()
    assert (folder.configuration / "backend.tf.json").exists()


@pytest.mark.usefixtures("_aws")
def test_the_states_bucket_is_private_versioned_and_made_once() -> None:
    assert ensure_bucket("lnn-state", ACCOUNT, "eu-central-1")
    assert not ensure_bucket("lnn-state", ACCOUNT, "eu-central-1")
    s3 = boto3.client("s3", region_name="eu-central-1")
    assert s3.get_bucket_versioning(Bucket="lnn-state")["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket="lnn-state")["PublicAccessBlockConfiguration"].values())
    policy = json.loads(s3.get_bucket_policy(Bucket="lnn-state")["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.usefixtures("_aws", "commands")
def test_a_remote_state_has_a_bucket_and_a_lock() -> None:
    backend = aws.ask_for_state(ACCOUNT, answering("s3", ""), "lnn", "eu-central-1")
    assert backend == remote_state(
        "lnn-terraform-state-123456789012-eu-central-1", "lnn/terraform.tfstate", "eu-central-1"
    )
    assert backend["s3"]["use_lockfile"] is True
    boto3.client("s3", region_name="eu-central-1").head_bucket(Bucket=backend["s3"]["bucket"])


def test_a_deployment_shows_its_plan_and_applies_that_one(
    folder: Folder, commands: Callable[[], list[list[str]]]
) -> None:
    aws.deploy(folder, ["-var-file=given"], confirm=lambda question: True)
    (_, plan, out, given), (_, apply, planned) = commands()
    assert (plan, apply, given) == ("plan", "apply", "-var-file=given")
    assert out == f"-out={planned}"


def test_nothing_is_applied_or_removed_without_a_yes(folder: Folder, commands: Callable[[], list[list[str]]]) -> None:
    for action in (aws.deploy, aws.destroy):
        with pytest.raises(DeploymentError, match="nothing was"):
            action(folder, [], confirm=lambda question: False)
    assert {command for _, command, *_ in commands()} == {"plan", "show"}


def test_a_destroy_says_what_it_removed(
    folder: Folder, commands: Callable[[], list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    aws.destroy(folder, [], confirm=lambda question: True)
    told = capsys.readouterr().out.partition("removed:\n")[2]
    assert told.splitlines()[:2] == ["  dynamodb table: lnn-costs, lnn-runs", "  s3 bucket: lnn-bucket"]
    aws.destroy(folder, [], confirm=lambda question: True)
    assert capsys.readouterr().out == "aws: nothing is deployed\n"


@pytest.mark.usefixtures("_aws", "commands")
def test_an_endpoint_that_is_not_aws_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    with pytest.raises(DeploymentError, match="AWS_ENDPOINT_URL points at"):
        aws.run("deploy", yes=True)


@pytest.mark.usefixtures("_aws")
def test_what_holds_credentials_runs_no_provider_that_a_search_of_the_disk_finds(
    folder: Folder, commands: Callable[[], list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock file's provider, from the registry or from a folder that the user names."""
    monkeypatch.delenv("LNN_PROVIDER_MIRROR", raising=False)
    aws.prepare(folder, ACCOUNT, None, move_state=False)
    monkeypatch.setenv("LNN_PROVIDER_MIRROR", str(tmp_path))
    aws.prepare(folder, ACCOUNT, None, move_state=False)
    (_, *found), (_, *named) = commands()
    assert found == ["init", "-input=false", "-lockfile=readonly"]
    assert named == [*found, f"-plugin-dir={tmp_path}"]
    monkeypatch.setenv("LNN_PROVIDER_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(DeploymentError, match="LNN_PROVIDER_MIRROR names no folder"):
        aws.prepare(folder, ACCOUNT, None, move_state=False)
