"""The bucket of Terraform's state: private, versioned, encrypted, and no part of the deployment that it describes."""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError

from lnn_tools.aws_deployment.errors import DeploymentError


def bucket_name(prefix: str, account: str, region: str) -> str:
    """The name that is offered."""
    return f"{prefix}-terraform-state-{account}-{region}"


def ensure_bucket(name: str, account: str, region: str) -> bool:
    """Makes the bucket unless the account has it; whether it was made.

    Raises:
        DeploymentError: it belongs to somebody else, or may not be made.
    """
    s3: Any = boto3.client("s3", region_name=region)
    try:
        s3.head_bucket(Bucket=name, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
            raise DeploymentError(f"bucket {name} is not this account's to use; name another") from error
    else:
        return False
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced", **place)
        s3.put_public_access_block(
            Bucket=name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
        )
        # An older state can be brought back when a newer one is broken.
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(refusing_plain_http(name)))
    except ClientError as error:
        raise DeploymentError(f"bucket {name} could not be made: {error.response['Error']['Message']}") from error
    return True


def refusing_plain_http(bucket: str) -> dict[str, Any]:
    """A bucket policy."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RefusePlainHttp",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
