"""Reading of uploaded datasets and parameters from S3."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from lnn.aws.client_errors import refusals
from lnn.aws.events import Upload
from lnn.aws.s3_client import RetryingS3
from lnn.errors import DatasetError, ResourceDeleted, SettingsError
from lnn.job.hyperparameters import MAX_FILE_BYTES
from lnn.names import UPLOAD_STARTED_AT, parameters_key, s3_uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


BAD_REQUEST = "400"


class UploadReader:
    """The ``training_input/`` prefix, seen from Launch."""

    def __init__(self, client: S3Client, prompt: S3Client | None = None) -> None:
        """``prompt`` is a client with a short time-out that is tried first: see ``RetryingS3``."""
        self._s3 = RetryingS3(client, prompt)

    def describe(self, upload: Upload) -> float | None:
        """The time at which the client began the upload, in epoch seconds; None if its metadata lacks it.

        Raises DatasetError when the object has been deleted: a deleted upload must not be trained on.
        """
        try:
            with self._reading(upload):
                head = self._s3.ask(lambda client: client.head_object(Bucket=upload.bucket, Key=upload.key))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == BAD_REQUEST:
                return None  # the answer to HEAD has no body; reading the object will tell what is wrong
            raise
        try:
            began = float(head["Metadata"][UPLOAD_STARTED_AT])
        except (KeyError, ValueError):
            return None
        return began if math.isfinite(began) else None

    def fetch_dataset(self, upload: Upload, path: Path, limit: int) -> None:
        """Download the version in the event. Raises DatasetError if it is deleted or exceeds ``limit`` bytes."""
        version: dict[str, Any] = {"VersionId": upload.version_id} if upload.version_id else {}

        def download(client: S3Client) -> None:
            answer = client.get_object(Bucket=upload.bucket, Key=upload.key, **version)
            if answer["ContentLength"] > limit:
                raise DatasetError(
                    f"{s3_uri(upload.bucket, upload.key)}: found {answer['ContentLength'] / 2**20:,.0f} MB; the Launch "
                    f"function has {limit / 2**20:,.0f} MB of /tmp: raise functions.launch.storage in Terraform"
                )
            with path.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(2**20):
                    file.write(chunk)

        with self._reading(upload):
            self._s3.ask(download)

    def read_parameters(self, upload: Upload) -> bytes:
        """The ``parameters.json`` beside the dataset. Raises SettingsError when there is none."""
        key = parameters_key(upload.key)

        def read(client: S3Client) -> bytes:
            # One byte beyond the limit is enough to detect a file that is too large.
            return client.get_object(Bucket=upload.bucket, Key=key)["Body"].read(MAX_FILE_BYTES + 1)

        try:
            with refusals("read", s3_uri(upload.bucket, key)):
                return self._s3.ask(read)
        except ResourceDeleted as error:
            raise SettingsError(
                f"parameters.json: missing; expected {s3_uri(upload.bucket, key)}, beside the dataset: "
                "upload it first, then the dataset again"
            ) from error

    @contextmanager
    def _reading(self, upload: Upload) -> Iterator[None]:
        address = s3_uri(upload.bucket, upload.key)
        try:
            with refusals("read", address):
                yield
        except ResourceDeleted as error:
            raise DatasetError(f"{address}: deleted before it could be read; upload it again to train on it") from error
