"""An upgrade changes a deployment in place: whatever holds data, or is costly to make anew, is never replaced.

`states/` has the state of a deployment of an earlier version, with AWS's defaults, as Terraform wrote it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tftest
from terraform_plans import HERE

STATES = sorted((HERE / "states").glob("*.json"))
# What the deployments were made with.
VARIABLES = {"account_id": "000000000000", "emails": ["ada@example.org"], "prefix": "team"}
STATEFUL = {
    "aws_cloudwatch_log_group",
    "aws_dynamodb_table",
    "aws_elasticache_replication_group",
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


@pytest.fixture
def upgrade(terraform: tftest.TerraformTest, tmp_path: Path) -> Callable[..., Changes]:
    """What a plan would do to each stateful resource of a state, by address."""

    def plan(state: Path, **variables: Any) -> Changes:
        given = tmp_path / "given.tfvars.json"
        given.write_text(json.dumps(VARIABLES | variables))
        copy = shutil.copy(state, tmp_path / "state")
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
            assert done.returncode == 0, done.stderr
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


def test_a_change_that_replaces_the_cache_would_be_found(upgrade: Callable[..., Changes]) -> None:
    changes = upgrade(STATES[-1], cache_port=6380)
    assert "delete" in changes["module.elasticache.aws_elasticache_replication_group.this"]
