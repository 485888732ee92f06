"""An upgrade changes a deployment in place: it never replaces what holds data or takes long to make.

`states/` has states of deployments of earlier versions as Terraform wrote them, one with AWS's defaults and one of a
local cloud. What the emulator tells otherwise than AWS is corrected in the second, and its archives are the empty ones
that `terraform` builds: the version that made it plans no change.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tftest

from support.terraform_plans import HERE, of_function

FIRST = HERE / "states" / "0.1.0-first.json"
FUNCTIONS_APART = HERE / "states" / "0.1.0-functions-apart.json"
"""Of the last version that had a module block for each function."""

ACCOUNT = "000000000000"
MADE_WITH: dict[Path, tuple[list[str], dict[str, Any]]] = {
    FIRST: ([], {"account_id": ACCOUNT, "emails": ["ada@example.org"], "prefix": "team"}),
    FUNCTIONS_APART: (["local.tfvars"], {"account_id": ACCOUNT}),
}
"""Files of variables, and variables, of each state's deployment."""

CACHE = "module.elasticache.aws_elasticache_replication_group.this"
RUNS = 'module.dynamodb.aws_dynamodb_table.this["runs"]'
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


class RefusedError(Exception):
    """What Terraform says about a plan that it does not make."""


class Change(NamedTuple):
    """What a plan does to a resource; one that it leaves as and where it is has no change."""

    action: str
    type: str
    moved_from: str | None


Changes = dict[str, Change]
Upgrade = Callable[..., Changes]


def running(state: dict[str, Any], engine_version: str | None) -> dict[str, Any]:
    """The state, refreshed after somebody upgraded the cache to ``engine_version``."""
    for resource in state["resources"]:
        if resource["type"] == "aws_elasticache_replication_group" and engine_version:
            attributes = resource["instances"][0]["attributes"]
            attributes |= {"engine_version": engine_version, "engine_version_actual": f"{engine_version}.0"}
    return state


def change(event: dict[str, Any]) -> Change:
    """A line of Terraform's report about a planned change."""
    planned = event["change"]
    return Change(
        planned["action"], planned["resource"]["resource_type"], planned.get("previous_resource", {}).get("addr")
    )


@pytest.fixture(scope="module")
def upgrade(terraform: tftest.TerraformTest, tmp_path_factory: pytest.TempPathFactory) -> Upgrade:
    """What a plan would change in a state, by address; each plan is made once.

    Raises:
        RefusedError: Terraform makes no plan.
    """
    folder = tmp_path_factory.mktemp("upgrade")

    @cache
    def plan(state: Path, engine_version: str | None, variables: str) -> Changes:
        files, made_with = MADE_WITH[state]
        given = folder / "given.tfvars.json"
        given.write_text(json.dumps(made_with | json.loads(variables)))
        copy = folder / "state"
        copy.write_text(json.dumps(running(json.loads(state.read_text()), engine_version)))
        options = ["-json", "-input=false", "-lock=false", "-refresh=false", f"-state={copy}"]
        done = subprocess.run(
            ["terraform", "plan", *options, *(f"-var-file={file}" for file in [*files, given])],
            cwd=terraform.tfdir,
            env=terraform.env,
            capture_output=True,
            text=True,
            check=False,
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode:
            said = [event["diagnostic"] for event in events if event["type"] == "diagnostic"]
            raise RefusedError(done.stderr + " ".join(f"{one['summary']}: {one['detail']}" for one in said))
        return {
            event["change"]["resource"]["addr"]: change(event) for event in events if event["type"] == "planned_change"
        }

    def of(state: Path, engine_version: str | None = None, **variables: Any) -> Changes:
        return plan(state, engine_version, json.dumps(variables))

    return of


def new_address(address: str) -> str:
    """Where a resource of ``FUNCTIONS_APART`` is now."""
    module, _, rest = address.removeprefix("module.").partition(".")
    if module in {"launch", "neuron", "predict", "register", "trainer"}:
        return of_function(module, rest)
    return {
        "module.elasticache.aws_security_group.this": "module.vpc.aws_security_group.cache",
        "module.elasticache.aws_vpc_security_group_ingress_rule.functions": (
            "module.vpc.aws_vpc_security_group_ingress_rule.cache_from_functions"
        ),
    }.get(address, address)


def addresses(state: Path) -> list[str]:
    """Every resource of a state."""
    return [
        f"{resource['module']}.{resource['type']}.{resource['name']}"
        + (f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else "")
        for resource in json.loads(state.read_text())["resources"]
        for instance in resource["instances"]
        if resource["mode"] == "managed"
    ]


def test_an_upgrade_replaces_nothing_that_holds_state(upgrade: Upgrade) -> None:
    changes = upgrade(FIRST)
    gone = {"delete", "replace"}
    assert {
        address: change for address, change in changes.items() if change.type in STATEFUL and change.action in gone
    } == {}
    # The index of open runs is added to the table as it stands.
    assert changes[RUNS].action == "update"


def test_functions_and_security_groups_that_have_new_addresses_are_moved_and_none_is_replaced(
    upgrade: Upgrade,
) -> None:
    changes = upgrade(FUNCTIONS_APART)
    assert {change.action for change in changes.values()} <= {"create", "move", "update"}
    created = {address for address, change in changes.items() if change.action == "create"}
    assert created == {'module.s3_trigger.aws_lambda_permission.bucket["batches"]'}
    updated = {change.type for change in changes.values() if change.action == "update"}
    # Code, permissions, the dashboard's pictures, and what the bucket starts and expires: nothing that holds data.
    assert updated <= {
        *("aws_lambda_function", "aws_iam_role_policy", "aws_cloudwatch_dashboard"),
        *("aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_notification"),
    }
    moves = {address: new_address(address) for address in addresses(FUNCTIONS_APART)}
    moved = {change.moved_from: address for address, change in changes.items() if change.moved_from}
    assert moved == {old: new for old, new in moves.items() if old != new}
    assert {change.type for change in changes.values()} >= {"aws_lambda_function", "aws_iam_role", "aws_security_group"}


def test_a_change_that_replaces_the_cache_would_be_found(upgrade: Upgrade) -> None:
    assert upgrade(FIRST, cache_port=6380)[CACHE].action == "replace"


@pytest.mark.parametrize("engine_version", ["8.0", "8.9"], ids=["older", "newer"])
def test_no_engine_that_runs_is_replaced(upgrade: Upgrade, engine_version: str) -> None:
    assert upgrade(FIRST, engine_version, cache={"engine_version": "8.1"})[CACHE].action == "update"


@pytest.mark.parametrize(("runs", "configured"), [("9.0", "8.2"), ("8.2", "9.0")])
def test_another_major_version_than_runs_is_refused(upgrade: Upgrade, runs: str, configured: str) -> None:
    with pytest.raises(RefusedError, match=rf"team-cache runs Valkey {runs}, and cache.engine_version is {configured}"):
        upgrade(FIRST, runs, cache={"engine_version": configured})


def test_a_cache_of_a_newer_major_version_gets_its_family(upgrade: Upgrade) -> None:
    assert upgrade(FIRST, "9.0", cache={"engine_version": "9.0"})[CACHE].action == "update"


def test_a_deployment_keeps_its_roles_under_their_names(upgrade: Upgrade) -> None:
    roles = [address for address in addresses(FIRST) if ".aws_iam_role.this" in address]
    assert len(roles) == 3
    changes = upgrade(FIRST)
    assert {changes[new_address(role)].action for role in roles} <= {"move", "update"}
