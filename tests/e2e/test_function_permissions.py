"""What each function may not do: refused with its role as it is, and done as soon as the role is granted it.

The second half shows that it is the missing grant which refuses, and not a call that could never have succeeded.
Grants are added to a twin of the role, with the same policies, so that the functions' own roles stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lnn.names import Names
from support.e2e_cloud import CloudUnderTest, eventually

REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
RUN = {"run_id": {"S": "denied"}}
ROW = RUN | {"epoch": {"N": "1"}}


@dataclass(frozen=True)
class Denial:
    """A call that a role may not make, and the grant that would allow it."""

    role: str
    what: str
    action: str
    """As IAM names it; its first part is the client that makes the call."""
    method: str
    arguments: Callable[[Names], dict[str, Any]]
    resource: Callable[[Names], str]

    def __str__(self) -> str:
        return f"{self.role} may not {self.what}"


def arn(names: Names, service: str, resource: str) -> str:
    return f"arn:aws:{service}:{names.region}:{names.account}:{resource}"


def on_object(key: str, **more: Any) -> dict[str, Any]:
    return {
        "arguments": lambda names: {"Bucket": names.bucket, "Key": key} | more,
        "resource": lambda names: f"arn:aws:s3:::{names.bucket}/{key}",
    }


def on_bucket(**arguments: Any) -> dict[str, Any]:
    return {
        "arguments": lambda names: {"Bucket": names.bucket} | arguments,
        "resource": lambda names: f"arn:aws:s3:::{names.bucket}",
    }


def on_table(table: str, **arguments: Any) -> dict[str, Any]:
    return {
        "arguments": lambda names: {"TableName": getattr(names, f"{table}_table")} | arguments,
        "resource": lambda names: arn(names, "dynamodb", f"table/{getattr(names, f'{table}_table')}"),
    }


def on_function(function: str, **arguments: Any) -> dict[str, Any]:
    return {
        "arguments": lambda names: {"FunctionName": names.function(function)} | arguments,
        "resource": lambda names: arn(names, "lambda", f"function:{names.function(function)}"),
    }


def everywhere(**arguments: Any) -> dict[str, Any]:
    return {"arguments": lambda names: arguments, "resource": lambda names: "*"}


PUT, GET, DELETE = ("s3:PutObject", "put_object"), ("s3:GetObject", "get_object"), ("s3:DeleteObject", "delete_object")
VERSIONS = ("s3:ListBucketVersions", "list_object_versions")
REGISTERED_MODEL = "prediction_input/models/denied/params"
INVOKE = ("lambda:InvokeFunction", "invoke")
DRY = {"InvocationType": "DryRun"}
HISTORY = {"KeyConditionExpression": "run_id = :run", "ExpressionAttributeValues": {":run": RUN["run_id"]}}
SCAN, PUT_ITEM = ("dynamodb:Scan", "scan"), ("dynamodb:PutItem", "put_item")
GET_ITEM, DELETE_ITEM = ("dynamodb:GetItem", "get_item"), ("dynamodb:DeleteItem", "delete_item")

DENIALS = [
    # Launch opens runs; it trains none and knows nothing of their results.
    Denial("launch", "read a run's tensors", *GET, **on_object("runs/denied/probe")),
    Denial("launch", "write a model", *PUT, **on_object("prediction_input/denied/params.h5", Body=b"")),
    Denial("launch", "list the versions of models", *VERSIONS, **on_bucket(Prefix="prediction_input/")),
    Denial("launch", "write an input", *PUT, **on_object("training_input/denied.txt", Body=b"")),
    Denial("launch", "delete an input", *DELETE, **on_object("training_input/denied.txt")),
    Denial("launch", "call Neuron", *INVOKE, **on_function("neuron", **DRY)),
    Denial("launch", "call itself", *INVOKE, **on_function("launch", **DRY)),
    Denial("launch", "write a history", *PUT_ITEM, **on_table("costs", Item=ROW)),
    Denial("launch", "read a history", "dynamodb:Query", "query", **on_table("costs", **HISTORY)),
    Denial("launch", "look through all runs", *SCAN, **on_table("runs")),
    Denial("launch", "delete a run", *DELETE_ITEM, **on_table("runs", Key=RUN)),
    # Trainer trains; what was uploaded is Launch's to read.
    Denial("trainer", "read an input", *GET, **on_object("training_input/parameters.json")),
    Denial("trainer", "write an input", *PUT, **on_object("training_input/denied.txt", Body=b"")),
    Denial("trainer", "delete a model", *DELETE, **on_object("prediction_input/denied/params.h5")),
    Denial("trainer", "replace a registered model", *PUT, **on_object(REGISTERED_MODEL, Body=b"")),
    Denial("trainer", "call Launch", *INVOKE, **on_function("launch", **DRY)),
    Denial("trainer", "read a function's code", "lambda:GetFunction", "get_function", **on_function("neuron")),
    Denial("trainer", "delete a run", *DELETE_ITEM, **on_table("runs", Key=RUN)),
    Denial("trainer", "put single rows into the history", *PUT_ITEM, **on_table("costs", Item=ROW)),
    Denial(
        "trainer",
        "forget what events were seen",
        *DELETE_ITEM,
        **on_table("invocations", Key={"invocation": {"S": "denied"}}),
    ),
    Denial("trainer", "look through all runs", *SCAN, **on_table("runs")),
    Denial("trainer", "look through the models", *SCAN, **on_table("models")),
    # Neuron computes and hands over.
    Denial("neuron", "read an input", *GET, **on_object("training_input/parameters.json")),
    Denial("neuron", "write an input", *PUT, **on_object("training_input/denied.txt", Body=b"")),
    Denial("neuron", "replace a registered model", *PUT, **on_object(REGISTERED_MODEL, Body=b"")),
    Denial("neuron", "delete a run's tensors", *DELETE, **on_object("runs/denied/deleted")),
    Denial("neuron", "call Launch", *INVOKE, **on_function("launch", **DRY)),
    Denial("neuron", "look through all runs", *SCAN, **on_table("runs")),
    Denial("neuron", "delete a run", *DELETE_ITEM, **on_table("runs", Key=RUN)),
    Denial("neuron", "put single rows into the history", *PUT_ITEM, **on_table("costs", Item=ROW)),
    Denial(
        "neuron",
        "read what events were seen",
        *GET_ITEM,
        **on_table("invocations", Key={"invocation": {"S": "denied"}}),
    ),
    Denial("neuron", "read a model's stage", *GET_ITEM, **on_table("models", Key={"model_id": {"S": "denied"}})),
    # Predict answers the public, and writes answers to batches alone.
    Denial("predict", "write a model", *PUT, **on_object("prediction_input/denied/params.h5", Body=b"")),
    Denial("predict", "write a part of a batch", *PUT, **on_object("prediction_input/batches/denied.npy", Body=b"")),
    Denial("predict", "delete an answer", *DELETE, **on_object("prediction_output/denied/deleted.npy")),
    Denial("predict", "read an answer", *GET, **on_object("prediction_output/denied/probe")),
    # None of them has business with the account.
    Denial("neuron", "list the account's users", "iam:ListUsers", "list_users", **everywhere()),
    Denial("trainer", "list the account's keys", "kms:ListKeys", "list_keys", **everywhere()),
    Denial("launch", "list the account's log groups", "logs:DescribeLogGroups", "describe_log_groups", **everywhere()),
]


class Role:
    """A role, and clients with its permissions."""

    def __init__(self, cloud: CloudUnderTest, name: str) -> None:
        self.cloud = cloud
        self.name = name
        self.iam = cloud.client("iam")
        self._arn = self.iam.get_role(RoleName=name)["Role"]["Arn"]

    def call(self, denial: Denial) -> str | None:
        """Make the call; what it was refused with, if it was."""
        lent = self.cloud.client("sts").assume_role(RoleArn=self._arn, RoleSessionName="denied")["Credentials"]
        client = self.cloud.client(
            denial.action.partition(":")[0],
            access_key_id=lent["AccessKeyId"],
            secret_access_key=lent["SecretAccessKey"],
            session_token=lent["SessionToken"],
        )
        try:
            getattr(client, denial.method)(**denial.arguments(self.cloud.names))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def policies(self) -> dict[str, Any]:
        """The role's own policies, by name."""
        names = self.iam.list_role_policies(RoleName=self.name)["PolicyNames"]
        return {name: self.iam.get_role_policy(RoleName=self.name, PolicyName=name)["PolicyDocument"] for name in names}


def role_of(cloud: CloudUnderTest, function: str) -> str:
    """The name of a function's role, as its configuration has it."""
    configuration = cloud.functions.get_function_configuration(FunctionName=cloud.names.function(function))
    return str(configuration["Role"].rpartition("/")[2])


@pytest.fixture(scope="module")
def twins(cloud: CloudUnderTest) -> Iterator[dict[str, Role]]:
    """A twin of each function's role."""
    iam = cloud.client("iam")
    found: dict[str, Role] = {}
    for function in ("launch", "trainer", "neuron", "predict"):
        original = Role(cloud, role_of(cloud, function))
        name = f"{original.name}-twin"
        trust = iam.get_role(RoleName=original.name)["Role"]["AssumeRolePolicyDocument"]
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        found[function] = Role(cloud, name)
        for policy, document in original.policies().items():
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))
    cloud.put("runs/denied/probe", b"")
    cloud.put("prediction_output/denied/probe", b"")
    yield found
    for twin in found.values():
        for policy in twin.policies():
            iam.delete_role_policy(RoleName=twin.name, PolicyName=policy)
        iam.delete_role(RoleName=twin.name)
    cloud.client("dynamodb").delete_item(TableName=cloud.names.costs_table, Key=ROW)


@pytest.mark.parametrize("denial", DENIALS, ids=str)
def test_a_role_may_not_unless_it_is_granted(cloud: CloudUnderTest, twins: dict[str, Role], denial: Denial) -> None:
    assert Role(cloud, role_of(cloud, denial.role)).call(denial) in REFUSED
    twin = twins[denial.role]
    assert twin.call(denial) in REFUSED

    grant = {"Effect": "Allow", "Action": denial.action, "Resource": denial.resource(cloud.names)}
    document = json.dumps({"Version": "2012-10-17", "Statement": [grant]})
    twin.iam.put_role_policy(RoleName=twin.name, PolicyName="grant", PolicyDocument=document)
    try:
        eventually(lambda: twin.call(denial) is None, f"the grant: {denial}", 10, state=lambda: twin.call(denial))
    finally:
        twin.iam.delete_role_policy(RoleName=twin.name, PolicyName="grant")
    assert twin.call(denial) in REFUSED


def test_every_role_has_its_denials() -> None:
    assert len(DENIALS) >= 20
    assert {denial.role for denial in DENIALS} == {"launch", "trainer", "neuron", "predict"}
