"""`make deploy` and `make destroy`: what they ask, where the state is kept, and that nothing happens unasked."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lnn.runs.store import WATCHED_INDEX
from lnn_client import cloud
from lnn_client.deployment import Deployment
from lnn_client.errors import ClientError
from lnn_tools.aws_deployment import commands as aws
from lnn_tools.aws_deployment import credentials, questions
from lnn_tools.aws_deployment import folder as folders
from lnn_tools.aws_deployment.credentials import Identity
from lnn_tools.aws_deployment.folder import CONFIGURATION, Folder, local_state, remote_state
from lnn_tools.aws_deployment.state_bucket import ensure_bucket
from lnn_tools.errors import ToolError
from support.repository import REPOSITORY

ACCOUNT = "123456789012"
OTHER_ACCOUNT = "210987654321"
IDENTITY = Identity(ACCOUNT, None, None)
DEPLOYMENT = Deployment(ACCOUNT, "eu-central-1", "team", "s3://state/team/terraform.tfstate")
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


OURS = {"CI", "LNN_DEPLOYMENT", "LNN_STATE_BUCKET"}
"""Variables that say where a deployment is kept."""

TABLES = {"runs": "lnn-runs", "costs": "lnn-costs"}


def answering(*answers: str) -> Callable[[str], str]:
    left = iter(answers)
    return lambda question: next(left)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "aws")


@pytest.fixture
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "TF_")) or name in OURS]:
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
        f"*' output '*) echo '{json.dumps(TABLES)}' ;;\n"
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


@pytest.mark.parametrize("region", ["cn-north-1", "eu-isoe-west-1", "eusc-de-east-1", "us-gov-west-1"])
def test_a_region_of_another_partition_is_refused_before_anything_is_made(region: str) -> None:
    with pytest.raises(ValueError, match="a commercial region"):
        questions.region(region)


def test_a_wrong_answer_is_explained_and_asked_again(tmp_path: Path) -> None:
    said: list[str] = []
    answers = answering("Ohio", "us-east-2", "Not_A_Prefix", "lnn-2", "nobody", "", "free", "0", "")
    found = questions.answers(tmp_path / "answers.json", {}, answers, said.append)
    assert found == {"region": "us-east-2", "prefix": "lnn-2", "emails": [], "monthly_budget_usd": None}
    shown = [line.partition(";")[0].split()[1] for line in said]
    assert shown == ["'Ohio'", "'Not_A_Prefix'", "'nobody'", "'free'", "'0'"]


def test_what_is_given_to_terraform_in_another_way_is_neither_asked_nor_overridden(tmp_path: Path) -> None:
    (tmp_path / "variables.tf").symlink_to(CONFIGURATION / "variables.tf")
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
    folder.keep_state(local_state(folder.local_state))
    assert (folder.configuration / "locals.tf").read_text() == (CONFIGURATION / "locals.tf").read_text()
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
    assert ensure_bucket("lnn-state", ACCOUNT, "eu-central-1") is None
    assert ensure_bucket("lnn-state", ACCOUNT, "eu-central-1") == "eu-central-1"
    s3 = boto3.client("s3", region_name="eu-central-1")
    assert s3.get_bucket_versioning(Bucket="lnn-state")["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket="lnn-state")["PublicAccessBlockConfiguration"].values())
    policy = json.loads(s3.get_bucket_policy(Bucket="lnn-state")["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.usefixtures("_aws", "commands")
def test_a_remote_state_has_a_bucket_and_a_lock() -> None:
    backend = aws.ask_for_state(ACCOUNT, answering("s3", ""), Path("unused"), "lnn", "eu-central-1")
    assert backend == remote_state(
        "lnn-terraform-state-123456789012-eu-central-1", "lnn/terraform.tfstate", "eu-central-1", ACCOUNT
    )
    assert backend["s3"]["use_lockfile"] is True
    assert backend["s3"]["allowed_account_ids"] == [ACCOUNT]
    boto3.client("s3", region_name="eu-central-1").head_bucket(Bucket=backend["s3"]["bucket"])


@pytest.fixture
def runs_table(_aws: None) -> Any:
    """The runs table of the deployment, empty."""
    dynamodb = boto3.resource("dynamodb", region_name="eu-central-1")
    return dynamodb.create_table(
        TableName="lnn-runs",
        KeySchema=[{"AttributeName": "run_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "run_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.mark.usefixtures("runs_table")
def test_a_deployment_shows_its_plan_and_applies_that_one(
    folder: Folder, commands: Callable[[], list[list[str]]]
) -> None:
    folder.link()
    aws.deploy(folder, ["-var-file=given"], deployment=DEPLOYMENT, confirm=lambda question: True)
    (_, plan, out, given), (_, apply, planned), _ = commands()
    assert (plan, apply, given) == ("plan", "apply", "-var-file=given")
    assert out == f"-out={planned}"


@pytest.mark.usefixtures("commands")
def test_an_upgrade_enters_the_runs_that_the_release_before_left_unfinished(
    folder: Folder, runs_table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.link()
    runs_table.put_item(Item={"run_id": "going", "status": "RUNNING"})
    runs_table.put_item(Item={"run_id": "done", "status": "COMPLETED", "closing": False})
    aws.deploy(folder, [], deployment=DEPLOYMENT, confirm=lambda question: True)
    assert "going" in capsys.readouterr().out
    watched = {item["run_id"]: item.get(WATCHED_INDEX) for item in runs_table.scan()["Items"]}
    assert watched == {"going": "yes", "done": None}
    aws.deploy(folder, [], deployment=DEPLOYMENT, confirm=lambda question: True)
    assert "going" not in capsys.readouterr().out, "it was entered already"


@pytest.mark.usefixtures("commands", "_aws")
def test_a_deployment_that_cannot_read_the_runs_says_what_to_allow(folder: Folder) -> None:
    folder.link()
    with pytest.raises(ToolError, match=r"Allow dynamodb:Scan .* on lnn-runs, then run make deploy again"):
        aws.deploy(folder, [], deployment=DEPLOYMENT, confirm=lambda question: True)


def test_nothing_is_applied_or_removed_without_a_yes(folder: Folder, commands: Callable[[], list[list[str]]]) -> None:
    with pytest.raises(ToolError, match="nothing was changed"):
        aws.deploy(folder, [], deployment=DEPLOYMENT, confirm=lambda question: False)
    with pytest.raises(ToolError, match="nothing was removed"):
        aws.destroy(folder, [], confirm=lambda question: False)
    assert {command for _, command, *_ in commands()} == {"plan", "show"}


def test_a_destroy_says_what_it_removed(
    folder: Folder, commands: Callable[[], list[list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder.link()
    DEPLOYMENT.save(folder.path)
    aws.destroy(folder, [], confirm=lambda question: True)
    assert Deployment.load(folder.path) is None
    told = capsys.readouterr().out.partition("removed:\n")[2]
    assert told.splitlines()[:2] == ["  dynamodb table: lnn-costs, lnn-runs", "  s3 bucket: lnn-bucket"]
    aws.destroy(folder, [], confirm=lambda question: True)
    assert capsys.readouterr().out == "aws: nothing is deployed\n"


@pytest.mark.usefixtures("_aws", "commands")
def test_an_endpoint_that_is_not_aws_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    with pytest.raises(ToolError, match="AWS_ENDPOINT_URL points at"):
        aws.run("deploy", yes=True)


@pytest.mark.usefixtures("_aws")
def test_what_holds_credentials_runs_no_provider_that_a_search_of_the_disk_finds(
    folder: Folder, commands: Callable[[], list[list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock file's provider, from the registry or from a folder that the user names."""
    monkeypatch.delenv("LNN_PROVIDER_MIRROR", raising=False)
    aws.prepare(folder, IDENTITY, None, move_state=False)
    monkeypatch.setenv("LNN_PROVIDER_MIRROR", str(tmp_path))
    aws.prepare(folder, IDENTITY, None, move_state=False)
    (_, *found), (_, *named) = commands()
    assert found == ["init", "-input=false", "-lockfile=readonly"]
    assert named == [*found, f"-plugin-dir={tmp_path}"]
    monkeypatch.setenv("LNN_PROVIDER_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(ToolError, match="LNN_PROVIDER_MIRROR names no folder"):
        aws.prepare(folder, IDENTITY, None, move_state=False)


@pytest.fixture
def _no_tfvars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables come from the environment alone, whatever lies beside the configuration of this clone."""
    empty = tmp_path / "configuration"
    empty.mkdir()
    (empty / "variables.tf").symlink_to(CONFIGURATION / "variables.tf")
    monkeypatch.setattr(aws, "CONFIGURATION", empty)


def variables_of(arguments: list[str]) -> dict[str, object]:
    """What Terraform would read."""
    (argument,) = arguments
    values: dict[str, object] = json.loads(Path(argument.removeprefix("-var-file=")).read_text())
    return values


@pytest.mark.usefixtures("runs_table", "_no_tfvars", "commands")
@pytest.mark.parametrize("answered_before", [False, True])
def test_where_variables_put_a_deployment_is_remembered_without_them(
    folder: Folder, answered_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answered_before:  # and never deployed
        aws.prepare(folder, IDENTITY, answering("us-east-1", "lnn", "", "", ""), move_state=True)
    monkeypatch.setenv("TF_VAR_region", "eu-central-1")
    monkeypatch.setenv("TF_VAR_prefix", "team")
    arguments, deployment = aws.prepare(folder, IDENTITY, None, move_state=True)
    assert (deployment.account, deployment.region, deployment.prefix) == (ACCOUNT, "eu-central-1", "team")
    aws.deploy(folder, arguments, deployment=deployment, confirm=lambda question: True)
    assert Deployment.load(folder.path) == deployment

    monkeypatch.delenv("TF_VAR_region")
    monkeypatch.delenv("TF_VAR_prefix")
    found, again = aws.prepare(folder, IDENTITY, None, move_state=False)
    assert again == deployment
    assert {name: variables_of(found)[name] for name in ("region", "prefix", "account_id")} == {
        "region": "eu-central-1",
        "prefix": "team",
        "account_id": ACCOUNT,
    }


@pytest.mark.usefixtures("_aws", "_no_tfvars", "commands")
def test_the_record_names_the_states_bucket(folder: Folder) -> None:
    answers = answering("eu-central-1", "team", "", "", "s3", "")
    _, deployment = aws.prepare(folder, IDENTITY, answers, move_state=True)
    assert deployment.state == f"s3://team-terraform-state-{ACCOUNT}-eu-central-1/team/terraform.tfstate"


@pytest.mark.usefixtures("_aws", "_no_tfvars")
@pytest.mark.parametrize("action", ["check", "plan", "deploy", "destroy"])
def test_credentials_of_another_account_are_refused_with_both_named(
    folder: Folder, action: str, commands: Callable[[], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.link()
    Deployment(OTHER_ACCOUNT, "us-east-1", "lnn", "state").save(folder.path)
    monkeypatch.setattr(aws, "aws_home", lambda: folder.path)
    with pytest.raises(ToolError, match=f"account {OTHER_ACCOUNT}.*account {ACCOUNT}"):
        aws.run(action, yes=True)
    assert commands() == []


@pytest.mark.usefixtures("_aws", "_no_tfvars")
def test_another_region_than_the_deployments_is_refused_with_both_named(
    folder: Folder, commands: Callable[[], list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.link()
    DEPLOYMENT.save(folder.path)
    monkeypatch.setenv("TF_VAR_region", "us-west-2")
    with pytest.raises(ToolError, match="deployed in eu-central-1, but region is us-west-2"):
        aws.prepare(folder, IDENTITY, None, move_state=False)
    assert commands() == []


@pytest.mark.usefixtures("_aws", "_no_tfvars", "commands")
def test_an_account_that_is_given_and_is_not_the_credentials_is_refused(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_VAR_account_id", OTHER_ACCOUNT)
    with pytest.raises(ToolError, match=f"account_id is {OTHER_ACCOUNT}.*account {ACCOUNT}"):
        aws.prepare(folder, IDENTITY, None, move_state=False)


def test_a_damaged_record_is_refused_with_its_cure(folder: Folder) -> None:
    folder.link()
    (folder.path / "deployment.json").write_text("{}")
    with pytest.raises(ToolError, match=r"deployment\.json is damaged.*delete it"):
        aws.record(folder)


def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str) -> None:
    """A configuration file of AWS's with one profile, which AWS_PROFILE names; nothing else leads to credentials."""
    file = tmp_path / "config"
    file.write_text(f"[profile work]\nregion = eu-west-1\n{settings}\n")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_PROFILE", "work")


def kept_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: str, lasts: timedelta) -> None:
    """What `aws login` leaves on a disk."""
    cache = tmp_path / "logins"
    cache.mkdir()
    monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(cache))
    keys = {"accessKeyId": "ASIALOGIN", "secretAccessKey": "secret", "sessionToken": "token", "accountId": ACCOUNT}
    token = {"accessToken": keys | {"expiresAt": (datetime.now(UTC) + lasts).isoformat()}, "refreshToken": "refresh"}
    token |= {"clientId": "arn:aws:signin:::devtools/same-device", "dpopKey": "key", "idToken": "id"}
    (cache / f"{hashlib.sha256(session.encode()).hexdigest()}.json").write_text(json.dumps(token))


def test_terraform_acts_with_a_login_that_only_boto3_knows(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys in the environment, for the provider and the state alike, and no profile that could win over them."""
    session = f"arn:aws:iam::{ACCOUNT}:user/ada"
    profile(tmp_path, monkeypatch, f"login_session = {session}")
    kept_login(tmp_path, monkeypatch, session, timedelta(hours=1))
    with mock_aws(), pytest.MonkeyPatch.context() as environment:
        # moto puts keys of its own into the environment, which would win here.
        environment.delenv("AWS_ACCESS_KEY_ID")
        environment.delenv("AWS_SECRET_ACCESS_KEY")
        found = credentials.identity()
    assert (found.account, found.profile_region) == (ACCOUNT, "eu-west-1")

    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("AWS_DEFAULT_PROFILE", "work")
    told = aws.terraform(Folder(folder.path, found), "plan", quiet=True)
    given = dict(line.split("=", 1) for line in told.splitlines() if line.startswith("AWS_"))
    assert {name: given[name] for name in given if "KEY" in name or "TOKEN" in name} == {
        "AWS_ACCESS_KEY_ID": "ASIALOGIN",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
    }
    assert not {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} & set(given)


def test_keys_without_a_token_take_no_others_token_along() -> None:
    plain = boto3.Session(aws_access_key_id="AKIA", aws_secret_access_key="secret").get_credentials()
    given = Identity(ACCOUNT, None, plain).environment({"AWS_SESSION_TOKEN": "of other keys", "PATH": "/bin"})
    assert given == {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret", "PATH": "/bin"}


def expiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasts: timedelta) -> Identity:
    """Credentials of a program that always answers the same, so that renewing them gains nothing."""
    answer = {"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "SessionToken": "token"}
    answer["Expiration"] = (datetime.now(UTC) + lasts).isoformat()
    program = tmp_path / "process.py"
    program.write_text(f"print({json.dumps(answer)!r})")
    profile(tmp_path, monkeypatch, f"credential_process = {sys.executable} {program}")
    return Identity(ACCOUNT, None, boto3.Session().get_credentials())


@pytest.mark.parametrize(("lasts", "warned"), [(timedelta(minutes=20), True), (timedelta(hours=2), False)])
def test_credentials_that_may_end_before_the_deployment_does_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasts: timedelta, warned: bool
) -> None:
    said: list[str] = []
    expiring(tmp_path, monkeypatch, lasts).check_time(said.append)
    assert [("expire within 30 minutes" in line, "log in again" in line) for line in said] == [(True, True)] * warned


@pytest.mark.parametrize("lasts", [timedelta(minutes=2), timedelta(minutes=-5)])
def test_credentials_that_end_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lasts: timedelta
) -> None:
    with pytest.raises(ToolError, match="aws login"):
        expiring(tmp_path, monkeypatch, lasts).check_time(print)


def test_no_credentials_at_all_are_refused_with_their_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(tmp_path, monkeypatch, "")
    with pytest.raises(ToolError, match="AWS_PROFILE"):
        credentials.identity()


@pytest.mark.parametrize("target", ["plan", "deploy"])
def test_credentials_are_looked_at_before_anything_is_built(target: str) -> None:
    dry = ["make", "--dry-run", "--no-print-directory", target]
    printed = subprocess.run(dry, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    steps = re.findall(r"-m lnn_tools\.(\S+(?: check| plan| deploy)?)", printed)
    assert steps == ["aws_deployment check", "packaging.layer", "packaging.functions", f"aws_deployment {target}"]


# Without a person


@pytest.mark.usefixtures("_aws", "_no_tfvars", "commands")
def test_a_bucket_that_a_variable_names_keeps_the_state_and_nobody_is_asked(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("LNN_STATE_BUCKET", "our-states")
    monkeypatch.setenv("TF_VAR_region", "eu-central-1")
    for _ in range(2):  # the second machine has the bucket, and nothing on its disk
        _, deployment = aws.prepare(folder, IDENTITY, None, move_state=True)
        assert deployment.state == "s3://our-states/lnn/terraform.tfstate"
        shutil.rmtree(folder.path)
    boto3.client("s3", region_name="eu-central-1").head_bucket(Bucket="our-states")


@pytest.mark.usefixtures("_aws", "commands")
def test_deployments_of_several_regions_share_a_bucket_and_no_state() -> None:
    first = aws.state_in("our-states", ACCOUNT, "lnn", "eu-central-1")["s3"]
    second = aws.state_in("our-states", ACCOUNT, "lnn", "us-west-2")["s3"]
    assert (first["key"], second["key"]) == ("lnn/terraform.tfstate", "lnn/us-west-2/terraform.tfstate")
    assert {first["region"], second["region"]} == {"eu-central-1"}, "the region of a backend is its bucket's"


@pytest.mark.usefixtures("_aws", "_no_tfvars", "commands")
@pytest.mark.parametrize("action", ["check", "plan", "deploy", "destroy"])
def test_a_machine_that_goes_away_keeps_no_state(action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "aws_home", lambda: tmp_path / "aws")
    monkeypatch.setattr(aws, "identity", lambda: IDENTITY)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ToolError, match=r"CI is set, .* set LNN_STATE_BUCKET to the bucket"):
        aws.run(action, yes=True)
    assert not (tmp_path / "aws").exists()


@pytest.mark.usefixtures("_aws", "_no_tfvars", "commands")
def test_a_state_stays_where_it_is_whatever_the_variable_says(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.prepare(folder, IDENTITY, None, move_state=True)
    monkeypatch.setenv("LNN_STATE_BUCKET", "our-states")
    with pytest.raises(ToolError, match=r"LNN_STATE_BUCKET is our-states, but the state .* is .*terraform\.tfstate"):
        aws.prepare(folder, IDENTITY, None, move_state=True)


@pytest.mark.usefixtures("_no_tfvars")
@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("terraform.tfvars", 'regoin = "eu-central-1"', r"terraform\.tfvars sets 'regoin', .* did you mean region\?"),
        ("terraform.tfvars.json", '{"xyzzy": 1}', r"sets 'xyzzy', .* the variables are in configuration/variables\.tf"),
        ("more.auto.tfvars", "region = ", r"more\.auto\.tfvars cannot be read: "),
        ("more.auto.tfvars.json", "{", r"more\.auto\.tfvars\.json cannot be read: "),
    ],
)
def test_a_misspelled_variable_is_an_error(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / "configuration" / file).write_text(text)
    with pytest.raises(ToolError, match=message):
        questions.given({}, tmp_path / "configuration")


@pytest.mark.usefixtures("_no_tfvars")
def test_a_misspelled_environment_variable_is_an_error_and_another_projects_is_not(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"TF_VAR_regoin sets no variable; did you mean TF_VAR_region\?"):
        questions.given({"TF_VAR_regoin": "eu-central-1"}, tmp_path / "configuration")
    assert questions.given({"TF_VAR_kubernetes": "1"}, tmp_path / "configuration") == {"kubernetes": "1"}


@pytest.mark.usefixtures("_no_tfvars")
def test_files_are_read_in_terraforms_order(tmp_path: Path) -> None:
    configuration = tmp_path / "configuration"
    (configuration / "b.auto.tfvars").write_text('prefix = "b"')
    (configuration / "a.auto.tfvars.json").write_text('{"prefix": "a", "region": "eu-west-1"}')
    (configuration / "terraform.tfvars.json").write_text('{"prefix": "json", "region": "eu-west-2"}')
    assert questions.given({"TF_VAR_prefix": "lnn"}, configuration) == {"prefix": "b", "region": "eu-west-1"}


# More than one deployment


@pytest.fixture
def _clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deployments of this test's own."""
    deployments = tmp_path / ".lnn" / "aws"
    monkeypatch.setattr(folders, "DEPLOYMENTS", deployments)
    monkeypatch.setattr(cloud, "repository", lambda: tmp_path)


@pytest.mark.usefixtures("_aws", "_no_tfvars", "_clone", "commands")
def test_a_clone_has_deployments_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployments = tmp_path / ".lnn" / "aws"
    first = Folder()
    _, deployment = aws.prepare(first, IDENTITY, None, move_state=True)
    deployment.save(first.path)
    monkeypatch.setenv("LNN_DEPLOYMENT", "staging")
    second = Folder()
    assert (first.path, second.path) == (deployments, deployments / "staging")
    arguments, staging = aws.prepare(second, IDENTITY, None, move_state=True)
    assert (deployment.prefix, staging.prefix) == ("lnn", "lnn-staging")
    assert Path(staging.state) == deployments / "staging" / "terraform.tfstate"
    assert variables_of(arguments)["prefix"] == "lnn-staging"
    assert (second.configuration / "variables.tf").exists()
    staging.save(second.path)
    monkeypatch.setenv("LNN_DEPLOYMENT", "")
    assert Deployment.load(Folder().path) == deployment


@pytest.mark.usefixtures("_aws", "_no_tfvars", "_clone", "commands")
def test_deployments_of_one_clone_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Folder()
    _, deployment = aws.prepare(first, IDENTITY, None, move_state=True)
    deployment.save(first.path)
    monkeypatch.setenv("LNN_DEPLOYMENT", "staging")
    monkeypatch.setenv("TF_VAR_prefix", "lnn")
    with pytest.raises(ToolError, match=r"the prefix 'lnn' is that of another deployment of this clone"):
        aws.prepare(Folder(), IDENTITY, None, move_state=True)
    monkeypatch.setenv("TF_VAR_region", "eu-west-1")  # elsewhere the names are free
    aws.prepare(Folder(), IDENTITY, None, move_state=True)


@pytest.mark.parametrize("name", ["Staging", "a" * 17, "build", "terraform", "a--b", "../aws", "-a"])
def test_a_deployment_has_a_name_that_its_prefix_can_have(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNN_DEPLOYMENT", name)
    with pytest.raises(ClientError, match=r"LNN_DEPLOYMENT is .*; give at most 16 lower-case letters"):
        cloud.aws_home()
