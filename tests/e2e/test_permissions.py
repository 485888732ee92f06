"""The local cloud enforces IAM: what a role is not given, it may not do."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from e2e_cloud import CloudUnderTest


def test_a_wrong_secret_is_refused(cloud: CloudUnderTest) -> None:
    stranger = cloud.client("s3", secret_access_key="wrong")
    with pytest.raises(ClientError) as refusal:
        stranger.list_objects_v2(Bucket=cloud.names.bucket)
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize(
    ("role", "action", "resource"),
    [
        ("launch", "dynamodb:BatchWriteItem", "arn:aws:dynamodb:{region}:{account}:table/{prefix}-costs"),
        ("launch", "lambda:InvokeFunction", "arn:aws:lambda:{region}:{account}:function:{prefix}-neuron"),
        ("launch", "s3:PutObject", "arn:aws:s3:::{bucket}/prediction_input/params.h5"),
        ("neuron", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/any"),
        ("neuron", "dynamodb:UpdateItem", "arn:aws:dynamodb:{region}:{account}:table/{prefix}-runs"),
        ("neuron", "lambda:InvokeFunction", "arn:aws:lambda:{region}:{account}:function:{prefix}-launch"),
        ("trainer", "s3:PutObject", "arn:aws:s3:::{bucket}/training_input/any.h5"),
        ("trainer", "dynamodb:DeleteTable", "arn:aws:dynamodb:{region}:{account}:table/{prefix}-runs"),
    ],
)
def test_a_function_may_not_do_what_is_not_its_work(
    cloud: CloudUnderTest, role: str, action: str, resource: str
) -> None:
    names = cloud.names
    answer = cloud.client("iam").simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{names.account}:role/{names.function(role)}",
        ActionNames=[action],
        ResourceArns=[
            resource.format(region=names.region, account=names.account, prefix=names.prefix, bucket=names.bucket)
        ],
    )
    assert answer["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"
