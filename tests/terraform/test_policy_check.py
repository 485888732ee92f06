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
from support.terraform_plans import SHAPES, Resources, documents

Statements = dict[str, dict[str, Any]]
Check = Callable[[list[list[dict[str, Any]]]], list[list[str]]]

# In one process: the reference takes seconds to read.
CHECK = """
import json, sys
from lnn_tools.checks.policies import findings
json.dump([list(findings(statements)) for statements in json.load(sys.stdin)], sys.stdout)
"""


def in_scan(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs Python in the scan's environment."""
    subprocess.run([REPOSITORY / "scripts" / "setup.sh", "scan"], check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "scripts")}
    command = [REPOSITORY / ".venv-scan" / "bin" / "python", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="session")
def check() -> Check:
    """What is wrong with each of several principals' statements."""

    def found(principals: list[list[dict[str, Any]]]) -> list[list[str]]:
        done = in_scan("-c", CHECK, input=json.dumps(principals))
        assert done.returncode == 0, done.stderr
        findings: list[list[str]] = json.loads(done.stdout)
        return findings

    return found


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
    (
        "an unknown action",
        with_value("WhoAmI", Action="sts:GetCallerIdentify"),
        "sts:GetCallerIdentify is not an action of AWS",
    ),
    (
        "an unknown service",
        with_value("WhoAmI", Action="st:GetCallerIdentity"),
        "st:GetCallerIdentity is not an action of AWS",
    ),
    (
        "an unknown pattern",
        with_value("LookAtNetworks", Action="ec2:Descripe*"),
        "ec2:Descripe* is not an action of AWS",
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


@pytest.fixture(scope="module")
def broken(check: Check) -> dict[str, list[str]]:
    """What the check finds in the deployer's policies, by the way in which they were broken."""
    principals = []
    for _, mutate, _ in MUTATIONS:
        statements = {statement["Sid"]: statement for name in DEPLOYER for statement in policy(name)["Statement"]}
        mutate(statements)
        principals.append([statement for statement in statements.values() if statement["Action"]])
    return dict(zip((how for how, _, _ in MUTATIONS), check(principals), strict=True))


@pytest.mark.timeout(600)
def test_what_ships_agrees_with_the_reference(check: Check) -> None:
    deployer = [statement for name in DEPLOYER for statement in policy(name)["Statement"]]
    assert check([deployer, policy(BOUNDARY)["Statement"]]) == [[], []]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("how", "finding"), [(how, finding) for how, _, finding in MUTATIONS])
def test_a_broken_policy_is_found(broken: dict[str, list[str]], how: str, finding: str) -> None:
    assert any(finding in found for found in broken[how]), broken[how]


@pytest.mark.timeout(600)
def test_every_planned_policy_agrees_with_the_reference(check: Check, planned: Callable[[str], Resources]) -> None:
    policies = {
        f"{shape}: {address}: {number}": as_list(document["Statement"])
        for shape in SHAPES
        for address, resource in planned(shape).items()
        for number, document in enumerate(documents(resource["values"]))
    }
    assert len(policies) > len(SHAPES)
    found = dict(zip(policies, check([*policies.values()]), strict=True))
    assert {place: findings for place, findings in found.items() if findings} == {}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("action", "status"), [("sts:GetCallerIdentity", 0), ("sts:GetCallerIdentify", 1)])
def test_the_command_fails_where_a_plan_has_a_wrong_policy(tmp_path: Path, action: str, status: int) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    resource = {"address": "module.a.aws_iam_role_policy.this", "values": {"policy": policy}}
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"planned_values": {"root_module": {"resources": [resource]}}}))
    done = in_scan("-m", "lnn_tools.checks.policies", "--plan", str(plan))
    assert done.returncode == status, done.stdout + done.stderr
    assert ("is not an action" in done.stderr) is bool(status)
