"""What a sweep asks of the bucket and of the table of runs, in few and small requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError as AwsError

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

    from lnn_client.cloud import Cloud

LARGE = 2**28
"""Bytes of an object that boto3 copies in parts: of smaller ones one request is sooner answered than it times out."""


def head(cloud: Cloud, key: str) -> Mapping[str, Any] | None:
    """What S3 says of an object; None where there is none."""
    try:
        stored: Mapping[str, Any] = cloud.s3.head_object(Bucket=cloud.names.bucket, Key=key)
    except AwsError as error:
        if error.response["Error"]["Code"] in {"NoSuchKey", "404", "NotFound"}:
            return None
        raise
    return stored


class Original:
    """An object of which S3 makes copies."""

    def __init__(self, cloud: Cloud, key: str) -> None:
        self._cloud, self.key = cloud, key
        self._size: int | None = None

    def copy_to(self, key: str, metadata: Mapping[str, str]) -> None:
        """Make a copy with ``metadata`` of its own. How large the object is, S3 is asked once."""
        cloud, bucket = self._cloud, self._cloud.names.bucket
        source: CopySourceTypeDef = {"Bucket": bucket, "Key": self.key}
        if self._size is None:
            self._size = int(cloud.s3.head_object(**source)["ContentLength"])
        if self._size > LARGE:
            extra = {"Metadata": dict(metadata), "MetadataDirective": "REPLACE"}
            cloud.s3.copy(CopySource=source, Bucket=bucket, Key=key, ExtraArgs=extra)
        else:
            cloud.s3.copy_object(
                CopySource=source, Bucket=bucket, Key=key, Metadata=metadata, MetadataDirective="REPLACE"
            )


def has_ended(cloud: Cloud, run_id: str) -> bool:
    """Whether a run has ended, and its end was carried out, or it is gone: two attributes of its long record."""
    from lnn.aws.dynamodb_items import plain
    from lnn.runs.record import Run

    answer = cloud.dynamodb.get_item(
        TableName=cloud.names.runs_table,
        Key={"run_id": {"S": run_id}},
        ConsistentRead=True,
        ProjectionExpression="run_id, #status, closing",
        ExpressionAttributeNames={"#status": "status"},
    )
    found = answer.get("Item")
    return not found or not Run.from_item(plain(found)).is_unfinished


def run_ids(cloud: Cloud, folder: str) -> dict[str, str]:
    """The ids of the runs of datasets in a folder of the bucket, by the dataset's key. Records stay in the table."""
    pages = cloud.dynamodb.get_paginator("scan").paginate(
        TableName=cloud.names.runs_table,
        ConsistentRead=True,
        FilterExpression="begins_with(dataset_key, :folder)",
        ExpressionAttributeValues={":folder": {"S": folder}},
        ProjectionExpression="run_id, dataset_key",
    )
    return {item["dataset_key"]["S"]: item["run_id"]["S"] for page in pages for item in page["Items"]}
