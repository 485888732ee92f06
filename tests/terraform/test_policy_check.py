"""The check against the Service Authorization Reference: what ships passes it, each way to break a policy fails it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.policies import BOUNDARY, DEPLOYER, as_list, policy
from support.repository import REPOSITORY
from support.terraform_plans import SHAPES, Resources

Statements = dict[str, dict[str, Any]]
Check = Callable[..., tuple[int, str]]


@pytest.fixture(scope="session")
def check() -> Check:
    """Runs the check in the scan's environment; its status, and what it said."""
    subprocess.run([REPOSITORY / "scripts" / "setup.sh", "scan"], check=True, capture_output=True)
    python = REPOSITORY / ".venv-scan" / "bin" / "python"

    def run(*arguments: Path | str) -> tuple[int, str]:
        command = [python, "-m", "lnn_tools.checks.policies", *arguments]
        path = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
        done = subprocess.run(command, env=path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def without(action: str) -> Callable[[Statements], None]:
    def mutate(statements: Statements) -> None:
        for statement in statements.values():
            statement["Action"] = [known for known in as_list(statement["Action"]) if known != action]

    return mutate


def with_value(sid: str, **values: Any) -> Callable[[Statements], None]:
    return lambda statements: statements[sid].update(values)


def on_region(arn: str) -> str:
    return f"arn:aws:{arn.replace('::', ':us-east-1:123456789012:')}"


TAGGED = {"StringEquals": {"aws:ResourceTag/application": "lnn"}}
MUTATIONS = [
    ("an unknown action", with_value("WhoAmI", Action="sts:GetCallerIdentify"), "sts:GetCallerIdentify is no action"),
    ("an unknown service", with_value("WhoAmI", Action="st:GetCallerIdentity"), "st:GetCallerIdentity is no action"),
    (
        "an unknown pattern",
        with_value("LookAtNetworks", Action="ec2:Descripe*"),
        "ec2:Descripe* is no action",
    ),
    (
        "a resource of another type",
        with_value("NewNetwork", Resource=on_region("ec2::subnet/*")),
        "ec2:CreateVpc works on none of the statement's resources",
    ),
    (
        "one resource of another type among right ones",
        with_value("NewNetwork", Resource=[on_region("ec2::vpc/*"), on_region("ec2::subnet/*")]),
        "no action of the statement works on arn:aws:ec2:us-east-1:123456789012:subnet/*",
    ),
    (
        "a required type that is not allowed",
        with_value("RulesOfOwnGroups", Action=["ec2:AuthorizeSecurityGroupIngress"]),
        "ec2:ModifySecurityGroupRules is allowed on no arn:#:ec2:#:#:security-group-rule/#",
    ),
    (
        "a condition key of another action",
        with_value("HandRolesToServices", Condition={"StringEquals": {"iam:PermissionsBoundary": "x"}}),
        "iam:PermissionsBoundary is no condition key of iam:PassRole",
    ),
    (
        "tags that an action does not look at",
        with_value("LookAround", Condition=TAGGED, Action="kms:ListAliases"),
        "aws:ResourceTag/application is no condition key of kms:ListAliases",
    ),
    (
        "an unknown operator",
        with_value("NewNetwork", Condition={"StringEqual": {"aws:RequestTag/application": "lnn"}}),
        "StringEqual is no condition operator",
    ),
    (
        "names of endpoints",
        without("route53:AssociateVPCWithHostedZone"),
        "ec2:CreateVpcEndpoint needs route53:AssociateVPCWithHostedZone",
    ),
    ("tags of what is made", without("ec2:CreateTags"), "ec2:CreateVpc needs ec2:CreateTags"),
    ("roles for functions", without("iam:PassRole"), "lambda:CreateFunction needs iam:PassRole"),
    ("tags of keys", without("kms:TagResource"), "kms:CreateKey needs kms:TagResource"),
]


@pytest.mark.timeout(600)
def test_what_ships_agrees_with_the_reference(check: Check, tmp_path: Path) -> None:
    for names in (DEPLOYER, [BOUNDARY]):
        status, said = check(*(REPOSITORY / "docs" / f"{name}.json" for name in names))
        assert status == 0, said


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("mutate", "finding"), [case[1:] for case in MUTATIONS], ids=[case[0] for case in MUTATIONS])
def test_a_broken_policy_is_found(
    check: Check, tmp_path: Path, mutate: Callable[[Statements], None], finding: str
) -> None:
    statements = {statement["Sid"]: statement for name in DEPLOYER for statement in policy(name)["Statement"]}
    mutate(statements)
    kept = [statement for statement in statements.values() if statement["Action"]]
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"Version": "2012-10-17", "Statement": kept}))
    status, said = check(broken)
    assert status == 1
    assert finding in said


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_planned_policy_agrees_with_the_reference(
    check: Check, planned: Callable[[str], Resources], tmp_path: Path, shape: str
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"planned_values": {"root_module": {"resources": [*planned(shape).values()]}}}))
    status, said = check("--plan", plan)
    assert status == 0, said
