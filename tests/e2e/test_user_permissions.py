"""The local cloud enforces IAM: nobody may do what they were not allowed to, the functions included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lnn.runs.store import WATCHED_INDEX
from support.e2e_cloud import CloudUnderTest

REFUSED = {"AccessDenied", "AccessDeniedException", "AuthorizationError"}
UNKNOWN = {"InvalidAccessKeyId", "UnrecognizedClientException", "InvalidClientTokenId", "SignatureDoesNotMatch"}


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    """The error code that a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_a_stranger_is_refused(cloud: CloudUnderTest) -> None:
    stranger = {
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    }
    assert refusal(cloud.client("s3", **stranger).list_objects_v2, Bucket=cloud.names.bucket) in UNKNOWN
    assert refusal(cloud.client("dynamodb", **stranger).scan, TableName=cloud.names.runs_table) in UNKNOWN
    assert refusal(cloud.client("lambda", **stranger).invoke, FunctionName=cloud.names.trainer) in UNKNOWN
    assert refusal(cloud.client("sts", **stranger).get_caller_identity) in UNKNOWN


@pytest.fixture(scope="module", params=["launch", "trainer", "neuron"])
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def in_role(cloud: CloudUnderTest, role: str) -> Callable[[str], Any]:
    """Makes clients with the permissions of a function."""
    arn = cloud.functions.get_function_configuration(FunctionName=cloud.names.function(role))["Role"]
    lent = cloud.client("sts").assume_role(RoleArn=arn, RoleSessionName=f"e2e-{role}")["Credentials"]
    credentials = {
        "access_key_id": lent["AccessKeyId"],
        "secret_access_key": lent["SecretAccessKey"],
        "session_token": lent["SessionToken"],
    }
    identity = cloud.client("sts", **credentials).get_caller_identity()
    assert identity["Arn"].endswith(f"/{arn.rpartition('/')[2]}/e2e-{role}")
    return lambda service: cloud.client(service, **credentials)


def test_a_function_may_do_what_it_has_to(cloud: CloudUnderTest, in_role: Callable[[str], Any], role: str) -> None:
    s3, bucket = in_role("s3"), cloud.names.bucket
    if role == "launch":
        assert s3.get_object(Bucket=bucket, Key="training_input/parameters.json")["ContentLength"] > 0
        # A key that is not there must read as missing, and not as forbidden.
        assert refusal(s3.get_object, Bucket=bucket, Key="training_input/none.h5") == "NoSuchKey"
    if role != "launch":
        s3.put_object(Bucket=bucket, Key="runs/e2e/probe", Body=b"")
        assert refusal(s3.get_object, Bucket=bucket, Key="runs/e2e/none") == "NoSuchKey"
    targets = [cloud.names.trainer] if role == "launch" else [cloud.names.trainer, cloud.names.neuron]
    for target in targets:
        in_role("lambda").invoke(FunctionName=target, InvocationType="DryRun")


def test_a_function_may_do_nothing_else(cloud: CloudUnderTest, in_role: Callable[[str], Any], role: str) -> None:
    s3, dynamodb, names = in_role("s3"), in_role("dynamodb"), cloud.names
    run = {"run_id": {"S": "e2e"}}
    row = {"PutRequest": {"Item": run | {"epoch": {"N": "1"}}}}
    codes = {
        "put input": refusal(s3.put_object, Bucket=names.bucket, Key="training_input/x.h5", Body=b""),
        "delete": refusal(s3.delete_object, Bucket=names.bucket, Key="training_input/parameters.json"),
        "scan models": refusal(dynamodb.scan, TableName=names.models_table),
        "delete runs": refusal(dynamodb.delete_item, TableName=names.runs_table, Key=run),
        "call launch": refusal(in_role("lambda").invoke, FunctionName=names.launch, InvocationType="DryRun"),
        "list functions": refusal(in_role("lambda").list_functions),
        "list users": refusal(in_role("iam").list_users),
    }
    if role == "launch":
        codes["write history"] = refusal(dynamodb.batch_write_item, RequestItems={names.costs_table: [row]})
        codes["write model"] = refusal(
            s3.put_object, Bucket=names.bucket, Key="prediction_input/params.h5", Body=b"forged"
        )
        codes["call neuron"] = refusal(in_role("lambda").invoke, FunctionName=names.neuron, InvocationType="DryRun")
    codes["scan runs"] = refusal(dynamodb.scan, TableName=names.runs_table)
    if role != "trainer":
        codes["read the index of open runs"] = refusal(
            dynamodb.query,
            TableName=names.runs_table,
            IndexName=WATCHED_INDEX,
            KeyConditionExpression="watched = :yes",
            ExpressionAttributeValues={":yes": {"S": "yes"}},
        )
    if role == "neuron":
        codes["read input"] = refusal(s3.get_object, Bucket=names.bucket, Key="training_input/parameters.json")
    assert {what: code for what, code in codes.items() if code not in REFUSED} == {}
