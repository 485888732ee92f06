"""Deployments of one clone side by side, made without a person, with the real Terraform against an emulator.

Each command runs on a machine of its own that has only the clone, as in continuous integration, and has no terminal:
what one deployment's commands know of the other's, and of their own last ones, is in the state's bucket.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from lnn_tools.local_cloud.deployment import endpoint
from lnn_tools.local_cloud.home import Home
from lnn_tools.local_cloud.processes import Service, stop
from lnn_tools.local_cloud.servers import REGION, ROOT_KEY, ensure_emulator
from support.repository import REPOSITORY
from support.terraform_plans import empty_builds

pytestmark = pytest.mark.timeout(600)

BUCKET = "our-states"
DEPLOYMENTS = {"": "lnn", "staging": "lnn-staging"}
"""The prefix of each deployment, by its name."""

SERVICES = (
    *("APIGATEWAYV2", "BUDGETS", "CLOUDWATCH", "CLOUDWATCH_LOGS", "DYNAMODB", "EC2", "ELASTICACHE", "EVENTBRIDGE"),
    *("IAM", "KMS", "LAMBDA", "S3", "SCHEDULER", "SNS", "SQS", "STS"),
)
"""What is asked of the emulator. One variable for all services is refused: it is a local cloud's."""

NAMES = {
    *("alarm_name", "alias_name", "bucket", "dashboard_name", "function_name", "layer_name", "log_group_name", "name"),
    *("replication_group_id", "role", "rule", "topic_arn", "user_group_id", "user_id"),
}
"""Attributes that name a resource, or the one that it belongs to."""

IDENTIFIED = {
    *("aws_apigatewayv2_integration", "aws_apigatewayv2_route", "aws_apigatewayv2_stage"),
    *("aws_default_security_group", "aws_flow_log", "aws_route_table", "aws_route_table_association", "aws_subnet"),
    *("aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_notification", "aws_s3_bucket_ownership_controls"),
    *("aws_s3_bucket_policy", "aws_s3_bucket_public_access_block", "aws_s3_bucket_versioning", "aws_s3_object"),
    *("aws_s3_bucket_server_side_encryption_configuration", "aws_vpc", "aws_vpc_endpoint", "terraform_data"),
    *("aws_vpc_security_group_ingress_rule", "aws_kms_key"),
}
"""Types of resources that have no name: AWS gives them an id, or they belong to a resource with one."""


@dataclass(frozen=True, slots=True)
class Clone:
    """A copy of what a clone has, and the emulator that stands for AWS."""

    path: Path
    emulator: Service
    mirror: str

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=endpoint(self.emulator),
            region_name=REGION,
            aws_access_key_id=ROOT_KEY,
            aws_secret_access_key=self.emulator.secret,
        )

    def on_another_machine(self) -> None:
        """Forget what lies on this one's disk."""
        shutil.rmtree(self.path / ".lnn", ignore_errors=True)

    def configuration(self, name: str) -> Path:
        return self.path / ".lnn" / "aws" / name / "terraform"

    def environment(self, name: str = "", bucket: str = BUCKET, plan: str = "") -> dict[str, str]:
        """Variables of a command about a deployment, with options of `terraform plan`."""
        users = ("AWS_", "CI", "LNN_", "OPTIONS", "TF_")
        kept = {variable: value for variable, value in os.environ.items() if not variable.startswith(users)}
        return kept | {
            **{f"AWS_ENDPOINT_URL_{service}": endpoint(self.emulator) for service in SERVICES},
            "AWS_ACCESS_KEY_ID": ROOT_KEY,
            "AWS_SECRET_ACCESS_KEY": self.emulator.secret,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1,localhost",
            "CHECKPOINT_DISABLE": "1",
            "CI": "1",
            "LNN_DEPLOYMENT": name,
            "LNN_STATE_BUCKET": bucket,
            "LNN_PROVIDER_MIRROR": self.mirror,
            # The clone's modules go before the repository's: they look for a clone's files around themselves.
            "PYTHONPATH": os.pathsep.join(str(self.path / folder) for folder in ("scripts", "client")),
            # No name server knows bucket.127.0.0.1.
            "TF_CLI_ARGS_init": "-no-color -backend-config=use_path_style=true",
            "TF_CLI_ARGS_plan": f"-no-color {plan}",
        }

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """A command with a closed standard input."""
        return subprocess.run(
            ["sh", "-c", 'exec "$@" <&-', "sh", *command],
            cwd=self.path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def deployment(self, action: str, name: str = "", plan: str = "") -> subprocess.CompletedProcess[str]:
        """`make ACTION` of a deployment, but for the setup and the builds."""
        yes = [] if action == "plan" else ["--yes"]
        command = [sys.executable, "-m", "lnn_tools.aws_deployment", action, *yes]
        return self.run(command, self.environment(name, plan=plan))


def done(command: subprocess.CompletedProcess[str]) -> str:
    """What a command printed that did what it was asked for."""
    assert command.returncode == 0, command.stdout[-2000:] + command.stderr
    return command.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    path = tmp_path_factory.mktemp("clone")
    left_out = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfvars", "__pycache__")
    for folder in ("client", "scripts", "terraform"):
        shutil.copytree(REPOSITORY / folder, path / folder, ignore=left_out)
    for file in ("Makefile", "parameters.json", "pyproject.toml"):
        shutil.copy(REPOSITORY / file, path)
    empty_builds(path)
    found = subprocess.run([REPOSITORY / "scripts" / "provider_mirror.sh"], capture_output=True, text=True, check=True)
    home = Home(tmp_path_factory.mktemp("emulator"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LNN_EMULATOR_PORT", "0")
        emulator, _ = ensure_emulator(home, Service(0, "", 1, ""))  # no function runs, and none needs a Redis
    try:
        yield Clone(path, emulator, found.stdout)
    finally:
        stop(emulator)


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan would do, when both deployments had their tables and nothing else."""

    changes: list[dict[str, Any]]

    def actions(self) -> dict[str, set[str]]:
        """Types of resources, by what is done to them."""
        found: dict[str, set[str]] = {}
        for change in self.changes:
            for action in change["change"]["actions"]:
                found.setdefault(action, set()).add(change["type"])
        return found

    def names(self) -> dict[str, set[tuple[str, ...]]]:
        """The names of all resources, by type."""
        found: dict[str, set[tuple[str, ...]]] = {}
        for change in self.changes:
            known = {attribute: value for attribute, value in change["change"]["after"].items() if value}
            name = tuple(str(known[attribute]) for attribute in sorted(NAMES & known.keys()))
            found.setdefault(change["type"], set()).add(name)
        return found


@pytest.fixture(scope="module")
def said(clone: Clone) -> dict[str, str]:
    """What each deployment printed when its tables were made, on a machine of its own."""
    outputs = {}
    for name in DEPLOYMENTS:
        clone.on_another_machine()
        outputs[name] = done(clone.deployment("deploy", name, plan="-target=module.dynamodb"))
    return outputs


@dataclass(frozen=True, slots=True)
class Stored:
    """What was there when both deployments had their tables: tests come in any order, and one removes a deployment."""

    keys: set[str]
    """Of the state's bucket."""
    tables: dict[str, list[str]]
    """Of each deployment, by its state."""
    all_tables: list[str]
    """By DynamoDB."""


@pytest.fixture(scope="module")
def stored(clone: Clone, said: dict[str, str]) -> Stored:
    assert said
    s3, tables = clone.client("s3"), {}
    for name, prefix in DEPLOYMENTS.items():
        state = json.load(s3.get_object(Bucket=BUCKET, Key=f"{prefix}/terraform.tfstate")["Body"])
        made = [one["attributes"]["name"] for entry in state["resources"] for one in entry["instances"]]
        tables[name] = sorted(made)
    keys = {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    return Stored(keys, tables, clone.client("dynamodb").list_tables()["TableNames"])


@pytest.fixture(scope="module")
def planned(clone: Clone, said: dict[str, str]) -> dict[str, Planned]:
    """What is planned for each deployment, at the same time, in one clone on one more machine."""
    assert said
    clone.on_another_machine()
    with ThreadPoolExecutor() as pool:
        for command in pool.map(lambda name: clone.deployment("plan", name, plan="-out=planned"), DEPLOYMENTS):
            done(command)
    found = {}
    for name in DEPLOYMENTS:
        shown = ["terraform", f"-chdir={clone.configuration(name)}", "show", "-json", "planned"]
        changes = json.loads(done(clone.run(shown, clone.environment(name))))["resource_changes"]
        found[name] = Planned([change for change in changes if change["mode"] == "managed"])
    return found


def test_without_a_bucket_nothing_is_built(clone: Clone) -> None:
    clone.on_another_machine()
    before = sorted((clone.path / "build").rglob("*"))
    make = ["make", "--no-print-directory", "--assume-old=setup", f"BIN={Path(sys.executable).parent}", "plan"]
    refused = clone.run(make, clone.environment(bucket=""))
    assert refused.returncode != 0
    assert "aws: CI is set" in refused.stderr
    assert "set LNN_STATE_BUCKET to the bucket that keeps it" in refused.stderr
    assert sorted((clone.path / "build").rglob("*")) == before
    assert not (clone.path / ".lnn").exists()
    assert refused.stdout == ""


def test_each_state_is_in_the_bucket_and_has_its_own_deployment_alone(said: dict[str, str], stored: Stored) -> None:
    assert stored.keys == {f"{prefix}/terraform.tfstate" for prefix in DEPLOYMENTS.values()}
    for name, prefix in DEPLOYMENTS.items():
        assert stored.tables[name] == [f"{prefix}-{table}" for table in ("costs", "invocations", "models", "runs")]
        assert f"s3://{BUCKET}/{prefix}/terraform.tfstate" in said[name]
    assert len(stored.all_tables) == 8


def test_a_deployment_says_how_to_use_it(said: dict[str, str]) -> None:
    assert "\ndeployed; try: .venv/bin/lnn train " in said[""]
    assert "\ndeployed; try: LNN_DEPLOYMENT=staging .venv/bin/lnn train " in said["staging"]


def test_plans_of_both_give_disjoint_names(planned: dict[str, Planned]) -> None:
    first, second = (planned[name].names() for name in DEPLOYMENTS)
    assert first.keys() == second.keys()
    assert {kind for kind in first if first[kind] & second[kind]} == IDENTIFIED
    tables = {(name,) for name in ("lnn-staging-costs", "lnn-staging-invocations", "lnn-staging-models")}
    assert tables < second["aws_dynamodb_table"]


def test_no_plan_destroys_or_changes_what_the_other_has(planned: dict[str, Planned]) -> None:
    for plan in planned.values():
        actions = plan.actions()
        assert actions.keys() == {"create", "no-op"}
        assert actions["no-op"] == {"aws_dynamodb_table"}, "the tables that it has itself, read from the bucket"
        assert "aws_dynamodb_table" not in actions["create"]


@pytest.mark.usefixtures("planned")
def test_a_lock_of_another_machine_stops_a_plan(clone: Clone) -> None:
    s3 = clone.client("s3")
    lock = {"Bucket": BUCKET, "Key": "lnn-staging/terraform.tfstate.tflock"}
    taken = {"ID": "b7e5", "Operation": "OperationTypeApply", "Who": "ada@another-machine", "Version": "1.11.4"}
    s3.put_object(**lock, Body=json.dumps(taken | {"Created": "2026-11-30T00:00:00Z"}))
    try:
        refused = clone.deployment("plan", "staging")
    finally:
        s3.delete_object(**lock)
    assert refused.returncode != 0
    assert "Error acquiring the state lock" in refused.stderr
    assert "ada@another-machine" in refused.stderr


@pytest.mark.usefixtures("planned", "stored")
def test_what_one_deployment_removes_leaves_the_other(clone: Clone) -> None:
    told = done(clone.deployment("destroy", "staging")).partition("removed:\n")[2]
    assert "dynamodb table: lnn-staging-costs, " in told
    assert "lnn-runs" not in told
    left = clone.client("dynamodb").list_tables()["TableNames"]
    assert sorted(left) == [f"lnn-{table}" for table in ("costs", "invocations", "models", "runs")]
