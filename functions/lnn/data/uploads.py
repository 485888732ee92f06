"""Reading of uploaded datasets and parameters from S3."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn.aws.client_errors import AWS_ERRORS, code_of, conditions, refusals
from lnn.aws.events import Upload
from lnn.aws.s3_client import RetryingS3
from lnn.errors import ConditionFailed, DatasetError, ResourceDeleted, SettingsError
from lnn.job.hyperparameters import MAX_FILE_BYTES
from lnn.names import PARAMETERS_VERSION, UPLOAD_STARTED_AT, parameters_key, s3_uri

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UNVERSIONED = "null"
"""Version id of an object that was put while its bucket kept no versions."""


@dataclass(frozen=True, slots=True)
class Description:
    """What the client says of an upload, in the metadata of the dataset."""

    began_at: float | None
    """When the client began the upload, in epoch seconds."""
    parameters_version: str | None
    """Version id of the ``parameters.json`` that belongs to it."""


@dataclass(frozen=True, slots=True)
class ParametersVersion:
    """One version of a ``parameters.json``; its ETag where S3 has told it."""

    version_id: str | None
    etag: str | None


BAD_REQUEST = "400"


class UploadReader:
    """The ``training_input/`` prefix, seen from Launch."""

    def __init__(self, client: S3Client, prompt: S3Client | None = None) -> None:
        """``prompt`` is a client with a short time-out that is tried first: see ``RetryingS3``."""
        self._s3 = RetryingS3(client, prompt)

    def describe(self, upload: Upload) -> Description:
        """The metadata of the upload. Raises DatasetError when the object is deleted: it must not be trained on."""
        try:
            with self._reading(upload):
                head = self._s3.ask(lambda client: client.head_object(Bucket=upload.bucket, Key=upload.key))
                if upload.version_id and head.get("VersionId") != upload.version_id:  # replaced by a later upload
                    own: Any = {"VersionId": upload.version_id}
                    head = self._s3.ask(lambda client: client.head_object(Bucket=upload.bucket, Key=upload.key, **own))
        except AWS_ERRORS as error:
            if code_of(error) == BAD_REQUEST:
                return Description(None, None)  # the answer has no body; reading the object will tell what is wrong
            raise
        metadata = head["Metadata"]
        try:
            began = float(metadata[UPLOAD_STARTED_AT])
        except (KeyError, ValueError):
            began = math.nan
        return Description(began if math.isfinite(began) else None, metadata.get(PARAMETERS_VERSION))

    def find_parameters(self, upload: Upload, named: str | None) -> ParametersVersion:
        """The version of ``parameters.json`` that belongs to an upload: the one that its client has ``named``.

        Where it has named none, it is the newest version that is not younger than the dataset; where all are younger,
        the oldest of them. Raises SettingsError when there is none.
        """
        if named is not None:
            return ParametersVersion(named, None)
        key, found = parameters_key(upload.key), None
        with refusals("list the versions of", s3_uri(upload.bucket, key)):
            for version in self._s3.ask(lambda client: _versions(client, upload.bucket, key)):
                found = version
                if version["LastModified"] <= upload.uploaded_at:
                    break
        if found is None or "ETag" not in found:  # a delete marker has none
            raise self._missing(upload)
        version_id = found["VersionId"]
        return ParametersVersion(None if version_id == UNVERSIONED else version_id, found["ETag"])

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

    def read_parameters(self, upload: Upload, version: ParametersVersion) -> bytes:
        """This version of the ``parameters.json`` beside the dataset. Raises SettingsError when it is gone."""
        key = parameters_key(upload.key)
        which: Any = {"VersionId": version.version_id} if version.version_id else {}
        if version.etag:
            which["IfMatch"] = version.etag

        def read(client: S3Client) -> bytes:
            # One byte beyond the limit is enough to detect a file that is too large.
            return client.get_object(Bucket=upload.bucket, Key=key, **which)["Body"].read(MAX_FILE_BYTES + 1)

        address = s3_uri(upload.bucket, key)
        try:
            with refusals("read", address), conditions(address):
                return self._s3.ask(read)
        except ResourceDeleted as error:
            raise self._missing(upload) from error
        except ConditionFailed as error:
            raise SettingsError(
                f"parameters.json: replaced or deleted since {s3_uri(upload.bucket, upload.key)} was uploaded, and the "
                "bucket keeps no versions; upload the dataset again"
            ) from error

    @staticmethod
    def _missing(upload: Upload) -> SettingsError:
        return SettingsError(
            f"parameters.json: missing; expected {s3_uri(upload.bucket, parameters_key(upload.key))}, beside the "
            "dataset: upload it first, then the dataset again"
        )

    @contextmanager
    def _reading(self, upload: Upload) -> Iterator[None]:
        address = s3_uri(upload.bucket, upload.key)
        try:
            with refusals("read", address):
                yield
        except ResourceDeleted as error:
            raise DatasetError(f"{address}: deleted before it could be read; upload it again to train on it") from error


def _versions(client: S3Client, bucket: str, key: str) -> list[dict[str, Any]]:
    """Every version of an object and every marker of a deletion, newest first."""
    pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key)
    found: list[Any] = [
        entry
        for page in pages
        for entry in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        if entry["Key"] == key
    ]
    return sorted(found, key=lambda entry: (entry["LastModified"], entry["IsLatest"]), reverse=True)
