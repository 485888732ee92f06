"""No role may do more than its function does: no wildcard but where AWS has no narrower form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lnn.names import batch_model_key, part_key, prediction_key
from support import policies
from support.terraform_plans import ACCOUNT, CONFIGURATION, SHAPES, Resources, documents, inventory

TABLES = ("costs", "invocations", "models", "runs")
# The only statements that may say "*", each with all its actions. EC2 and X-Ray know no resource for these; in a key's
# policy "*" is that key; an endpoint's policy is a bound that grants nothing; the last two are denials.
WILDCARDS = {
    ("Allow", "DescribeNetwork"): {"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"},
    ("Allow", "WriteTraces"): {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
    ("Allow", "LeaveToIam"): {"kms:*"},
    ("Allow", "LetAlarmsPublish"): {"kms:Decrypt", "kms:GenerateDataKey"},
    ("Allow", "EncryptLogs"): {
        "kms:Decrypt",
        "kms:DescribeKey",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom",
        "kms:ReEncryptTo",
    },
    ("Allow", "OwnAccountOnly"): {"*"},
    ("Deny", "RefusePlainHttp"): {"s3:*"},
    ("Deny", "KeepNetworkFromCode"): {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    },
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def excesses(document: dict[str, Any]) -> Iterator[str]:
    """What in a policy document reaches further than it may."""
    for statement in as_list(document["Statement"]):
        actions = as_list(statement.get("Action", []))
        resources = as_list(statement.get("Resource", []))
        if {"NotAction", "NotResource"} & set(statement):
            yield f"{statement}: everything but what is named"
        allowed = WILDCARDS.get((statement["Effect"], statement.get("Sid", "")), set())
        for action in actions:
            if "*" in action and action not in allowed:
                yield f"{action}: wildcard action"
        if any(set(resource) <= {"*", ":", "/"} or resource.startswith("arn:*") for resource in resources):
            for action in actions:
                if action not in allowed:
                    yield f"{action}: on every resource"


@pytest.mark.parametrize("shape", SHAPES)
def test_no_policy_has_a_wildcard_beyond_the_named_ones(shape: str, planned: Callable[[str], Resources]) -> None:
    found = [
        f"{address}: {excess}"
        for address, resource in planned(shape).items()
        for document in documents(resource["values"])
        for excess in excesses(document)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_roles_policy_is_known_before_it_is_applied(shape: str, planned: Callable[[str], Resources]) -> None:
    policies = [
        resource["values"].get("policy")
        for resource in planned(shape).values()
        if resource["type"] == "aws_iam_role_policy"
    ]
    assert len(policies) == inventory(shape)["counts"]["aws_iam_role_policy"]
    assert all(policies)


@pytest.mark.parametrize(
    ("statement", "excess"),
    [
        ({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}, "s3:GetObject: on every resource"),
        ({"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::b"]}, "s3:*: wildcard action"),
        ({"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b"}, "s3:Get*: wildcard action"),
        (
            {"Sid": "WriteTraces", "Effect": "Allow", "Action": ["xray:GetTraceSummaries"], "Resource": ["*"]},
            "xray:GetTraceSummaries: on every resource",
        ),
    ],
)
def test_a_wildcard_is_found(statement: dict[str, Any], excess: str) -> None:
    policy = {"policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    assert [found for document in documents(policy) for found in excesses(document)] == [excess]


def sample(pattern: str) -> str:
    """A text that a policy's pattern fits."""
    return pattern.replace("*", "x")


def as_in_a_call(condition: dict[str, dict[str, list[str]]]) -> dict[str, str | list[str]]:
    """The context of a call that meets a condition."""
    return {key: values[0] for keys in condition.values() for key, values in keys.items()}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_boundary_allows_what_each_role_may_do_and_no_other_action(
    shape: str, planned: Callable[[str], Resources]
) -> None:
    place = {name: inventory(shape).get("variables", {}).get(name) for name in ("prefix", "region")}
    boundary = policies.policy(policies.BOUNDARY, **{name: value for name, value in place.items() if value})
    beyond = set()
    for address, resource in planned(shape).items():
        if resource["type"] != "aws_iam_role_policy":
            continue
        for statement in json.loads(resource["values"]["policy"])["Statement"]:
            if statement["Effect"] == "Deny":
                continue
            context = as_in_a_call(statement.get("Condition", {}))
            beyond |= {
                f"{address}: {action} on {pattern}"
                for action in as_list(statement["Action"])
                for pattern in as_list(statement["Resource"])
                if not policies.allows([boundary], action, sample(pattern), context)
            }
    assert beyond == set()


def test_the_boundary_allows_no_action_that_no_role_has(planned: Callable[[str], Resources]) -> None:
    roles = {
        action
        for shape in SHAPES
        for resource in planned(shape).values()
        if resource["type"] == "aws_iam_role_policy"
        for statement in json.loads(resource["values"]["policy"])["Statement"]
        for action in as_list(statement["Action"])
    }
    allowed = [
        statement for statement in policies.policy(policies.BOUNDARY)["Statement"] if statement["Effect"] == "Allow"
    ]
    assert {action for statement in allowed for action in as_list(statement["Action"])} - roles == set()


def test_only_the_trainer_the_neuron_and_a_notebook_reach_the_cache_and_only_on_aws(
    planned: Callable[[str], Resources],
) -> None:
    def connecting(shape: str) -> set[str]:
        return {
            resource["values"]["name"]
            for resource in planned(shape).values()
            if "elasticache:Connect" in str(resource["values"].get("policy"))
        }

    assert connecting("aws-default") == {"lnn-neuron", "lnn-trainer"}
    assert connecting("aws-notebook") == {"lnn-neuron", "lnn-notebook", "lnn-trainer"}
    assert connecting("local") == set()


REGISTERED = ("models/20261121T101500Z-0a1b2c3d-01234567/params", "models/x/params.h5", "models/2/params.h5")


def writers(resources: Resources, *keys: str) -> set[str]:
    """The functions that may change one of these objects."""
    bucket = next(
        resource["values"]["bucket"] for resource in resources.values() if resource["type"] == "aws_s3_bucket"
    )
    return {
        resource["values"]["name"].rpartition("-")[2]
        for resource in resources.values()
        if resource["type"] == "aws_iam_role_policy"
        for key in keys
        for action in ("s3:PutObject", "s3:DeleteObject")
        if policies.allows([json.loads(resource["values"]["policy"])], action, f"arn:aws:s3:::{bucket}/{key}", {})
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_only_register_writes_what_predict_reads(shape: str, planned: Callable[[str], Resources]) -> None:
    assert writers(planned(shape), *(f"prediction_input/{key}" for key in REGISTERED)) == {"register"}
    part = part_key("a" * 64, "b" * 64)
    assert writers(planned(shape), part, batch_model_key("a" * 64)) == set(), "people alone upload batches"


@pytest.mark.parametrize("shape", SHAPES)
def test_predict_writes_answers_to_batches_alone(shape: str, planned: Callable[[str], Resources]) -> None:
    assert writers(planned(shape), prediction_key(part_key("a" * 64, "b" * 64))) == {"predict"}
    others = ("training_input/x.h5", "training_results/results.json", "runs/x/y.npz", "prediction_input/params.h5")
    assert "predict" not in writers(planned(shape), *others)


def test_launch_lists_versions_of_inputs_alone(planned: Callable[[str], Resources]) -> None:
    document = json.loads(
        planned("aws-default")['module.functions["launch"].aws_iam_role_policy.this']["values"]["policy"]
    )
    bucket = f"arn:aws:s3:::lnn-{ACCOUNT}-us-east-1"
    for prefix, allowed in (("training_input/x/parameters.json", True), ("prediction_input/", False), ("", False)):
        context: dict[str, str | list[str]] = {"s3:prefix": prefix}
        assert policies.allows([document], "s3:ListBucketVersions", bucket, context) is allowed, prefix


def test_a_notebook_changes_nothing_but_the_input_and_its_own_state(planned: Callable[[str], Resources]) -> None:
    policy = json.loads(planned("aws-notebook")["module.notebook[0].aws_iam_role_policy.this"]["values"]["policy"])
    bucket = f"arn:aws:s3:::lnn-{ACCOUNT}-us-east-1"
    tables = [f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/lnn-{name}" for name in TABLES]
    cache = f"arn:aws:elasticache:us-east-1:{ACCOUNT}"
    logs = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/aws/sagemaker/NotebookInstances"
    assert {statement["Sid"]: (statement["Action"], statement["Resource"]) for statement in policy["Statement"]} == {
        "ConnectToCache": (
            ["elasticache:Connect"],
            [f"{cache}:replicationgroup:lnn-cache", f"{cache}:user:lnn-functions"],
        ),
        "FetchOwnCode": (["s3:GetObject"], [f"{bucket}/notebook/bundle.zip"]),
        "ReadBucket": (["s3:GetObject", "s3:GetObjectVersion"], [f"{bucket}/*"]),
        "ReadTables": (["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"], tables),
        "ReadTriggers": (["s3:GetBucketNotification"], [bucket]),
        "StopItself": (
            ["sagemaker:StopNotebookInstance"],
            [f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:notebook-instance/lnn-notebook"],
        ),
        "TellMissingKeys": (["s3:ListBucket"], [bucket]),
        "UploadInput": (["s3:PutObject"], [f"{bucket}/training_input/*"]),
        "WriteOwnLifecycleLog": (
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [logs, f"{logs}:log-stream:lnn-notebook/*"],
        ),
    }


def test_each_wildcard_in_the_source_has_its_reason_in_a_comment() -> None:
    for path in CONFIGURATION.rglob("*.tf"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if '= ["*"]' in line or '= "*"' in line:
                statement = lines[max(0, number - 5) : number]
                assert any(before.strip().startswith('# "*": ') for before in statement), f"{path.name}:{number + 1}"
