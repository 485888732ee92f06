"""An upgrade changes a deployment in place: whatever holds data, or is costly to make anew, is never replaced.

`states/` has the state of a deployment of an earlier version, with AWS's defaults, as Terraform wrote it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tftest

from support.terraform_plans import HERE

STATES = sorted((HERE / "states").glob("*.json"))
# What the deployments were made with.
VARIABLES = {"account_id": "000000000000", "emails": ["ada@example.org"], "prefix": "team"}
STATEFUL = {
    "aws_cloudwatch_log_group",
    "aws_dynamodb_table",
    "aws_elasticache_replication_group",
    "aws_iam_role",
    "aws_kms_key",
    "aws_s3_bucket",
    "aws_security_group",
    "aws_sns_topic",
    "aws_sns_topic_subscription",
    "aws_sqs_queue",
    "aws_subnet",
    "aws_vpc",
}

Changes = dict[str, list[str]]


class RefusedError(Exception):
    """What Terraform says about a plan that it does not make."""


def running(state: dict[str, Any], engine_version: str | None) -> dict[str, Any]:
    """The state, refreshed after somebody upgraded the cache to ``engine_version``."""
    for resource in state["resources"]:
        if resource["type"] == "aws_elasticache_replication_group" and engine_version:
            attributes = resource["instances"][0]["attributes"]
            attributes |= {"engine_version": engine_version, "engine_version_actual": f"{engine_version}.0"}
    return state


@pytest.fixture
def upgrade(terraform: tftest.TerraformTest, tmp_path: Path) -> Callable[..., Changes]:
    """What a plan would do to each stateful resource of a state, by address."""

    def plan(state: Path, engine_version: str | None = None, **variables: Any) -> Changes:
        given = tmp_path / "given.tfvars.json"
        given.write_text(json.dumps(VARIABLES | variables))
        copy = tmp_path / "state"
        copy.write_text(json.dumps(running(json.loads(state.read_text()), engine_version)))
        options = ["-input=false", "-lock=false", "-refresh=false", f"-state={copy}", f"-var-file={given}"]
        for command in (["plan", *options, f"-out={tmp_path / 'plan'}"], ["show", "-json", str(tmp_path / "plan")]):
            done = subprocess.run(
                ["terraform", *command],
                cwd=terraform.tfdir,
                env=terraform.env,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RefusedError(" ".join(done.stderr.replace("│", " ").split()))
        changes = json.loads(done.stdout)["resource_changes"]
        return {
            change["address"]: change["change"]["actions"]
            for change in changes
            if change["type"] in STATEFUL and change["change"]["actions"] != ["create"]
        }

    return plan


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.stem)
def test_an_upgrade_replaces_nothing_that_holds_state(state: Path, upgrade: Callable[..., Changes]) -> None:
    changes = upgrade(state)
    assert {
        "module.elasticache.aws_elasticache_replication_group.this",
        "module.s3_trigger.aws_s3_bucket.this",
        'module.dynamodb.aws_dynamodb_table.this["runs"]',
    } <= set(changes)
    assert {address: actions for address, actions in changes.items() if "delete" in actions} == {}
    # The index of open runs is added to the table as it stands.
    assert changes['module.dynamodb.aws_dynamodb_table.this["runs"]'] == ["update"]


def test_a_change_that_replaces_the_cache_would_be_found(upgrade: Callable[..., Changes]) -> None:
    changes = upgrade(STATES[-1], cache_port=6380)
    assert "delete" in changes["module.elasticache.aws_elasticache_replication_group.this"]


@pytest.mark.parametrize("engine_version", ["8.0", "8.2", "8.9"])
def test_no_engine_that_runs_is_replaced(upgrade: Callable[..., Changes], engine_version: str) -> None:
    changes = upgrade(STATES[-1], engine_version, cache={"engine_version": "8.1"})
    assert changes["module.elasticache.aws_elasticache_replication_group.this"] == ["update"]


@pytest.mark.parametrize(("runs", "configured"), [("9.0", "8.2"), ("8.2", "9.0")])
def test_another_major_version_than_runs_is_refused(
    upgrade: Callable[..., Changes], runs: str, configured: str
) -> None:
    with pytest.raises(RefusedError, match=rf"team-cache runs Valkey {runs}, and cache.engine_version is {configured}"):
        upgrade(STATES[-1], runs, cache={"engine_version": configured})


def test_a_cache_of_a_newer_major_version_gets_its_family(upgrade: Callable[..., Changes]) -> None:
    changes = upgrade(STATES[-1], "9.0", cache={"engine_version": "9.0"})
    assert changes["module.elasticache.aws_elasticache_replication_group.this"] == ["update"]


def test_a_deployment_keeps_its_roles_under_their_names(upgrade: Callable[..., Changes]) -> None:
    changes = upgrade(STATES[-1])
    roles = {address: actions for address, actions in changes.items() if ".aws_iam_role.this" in address}
    assert len(roles) == 3
    assert {tuple(actions) for actions in roles.values()} <= {("no-op",), ("update",)}
