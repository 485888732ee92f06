"""The bucket of Terraform's state: private, versioned and encrypted. It is not part of the deployment."""

import json
from typing import Any

import boto3
from botocore.exceptions import ClientError

from lnn_tools.errors import ToolError


def bucket_name(prefix: str, account: str, region: str) -> str:
    return f"{prefix}-terraform-state-{account}-{region}"


def ensure_bucket(name: str, account: str, region: str) -> str | None:
    """Makes the bucket in a region if the account does not have it.

    Returns:
        The region of the bucket that the account had; None if it was made.

    Raises:
        ToolError: it belongs to another account, or may not be made.
    """
    s3: Any = boto3.client("s3", region_name=region)
    try:
        found = s3.head_bucket(Bucket=name, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchBucket"}:
            raise ToolError(f"bucket {name} is not usable by this account; name another") from error
    else:
        return str(found["BucketRegion"])
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
        # With versions a broken state can be replaced by an older one.
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps(refusing_plain_http(name)))
    except ClientError as error:
        raise ToolError(f"bucket {name} could not be made: {error.response['Error']['Message']}") from error
    return None


def refusing_plain_http(bucket: str) -> dict[str, Any]:
    """A bucket policy that denies requests without TLS."""
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
