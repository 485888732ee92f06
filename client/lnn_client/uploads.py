"""Uploading a dataset, and finding the run that the upload starts."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import Any

from lnn.aws.clocks import service_clock
from lnn.names import PARAMETERS, PARAMETERS_VERSION, TRAINING_INPUT, UPLOAD_STARTED_AT
from lnn.runs.record import Run
from lnn_client.cloud import Cloud
from lnn_client.errors import RunNotOpened
from lnn_client.progress import pause

DATASET = "datasets.h5"
OPEN_TIMEOUT_SECONDS = 60.0
ONE_REQUEST_BYTES = 8 * 2**20
"""A file up to this size is sent in one request, whose answer tells the version: boto3 splits larger ones, too."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One version of one object in the bucket."""

    bucket: str
    key: str
    version_id: str | None
    etag: str

    @property
    def uri(self) -> str:
        """``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


def own_folder(start: str = TRAINING_INPUT) -> str:
    """A folder that no other training uses, so that two never mix up their parameters."""
    return f"{start}{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}/"


def upload_training(
    cloud: Cloud,
    dataset: Path,
    parameters: bytes | None,
    folder: str | None = None,
    name: str = DATASET,
    sent: Callable[[int], None] = lambda _: None,
) -> Uploaded:
    """Upload the parameters, then the dataset: the dataset's arrival starts the run.

    ``folder`` is a new one by default; ``sent`` is called with the number of bytes each time that some have been sent.
    """
    bucket, folder = cloud.names.bucket, own_folder() if folder is None else folder
    began, metadata = time(), {}
    if parameters is not None:
        put = cloud.s3.put_object(
            Bucket=bucket, Key=folder + PARAMETERS, Body=parameters, ContentType="application/json"
        )
        if version := put.get("VersionId"):
            metadata[PARAMETERS_VERSION] = version
    # By the clock that functions go by, which the answer above has told.
    metadata[UPLOAD_STARTED_AT] = f"{began + service_clock.offset:.6f}"
    return _upload(cloud, dataset, folder + name, metadata, sent)


def _upload(cloud: Cloud, file: Path, key: str, metadata: dict[str, str], sent: Callable[[int], None]) -> Uploaded:
    bucket, size = cloud.names.bucket, file.stat().st_size
    stored: Mapping[str, Any]
    if size <= ONE_REQUEST_BYTES:
        with file.open("rb") as body:
            stored = cloud.s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)
        sent(size)
    else:
        cloud.s3.upload_file(str(file), bucket, key, ExtraArgs={"Metadata": metadata}, Callback=sent)
        stored = cloud.s3.head_object(Bucket=bucket, Key=key)
    return Uploaded(bucket, key, stored.get("VersionId"), stored["ETag"])


def wait_for_run(cloud: Cloud, uploaded: Uploaded, timeout: float = OPEN_TIMEOUT_SECONDS) -> Run:
    """The run that Launch opens for the upload.

    Raises:
        RunNotOpened: Launch opened none within ``timeout`` seconds.
    """
    started = monotonic()
    while True:
        run = cloud.ledger.find_run_of_upload(uploaded.bucket, uploaded.key, uploaded.version_id or uploaded.etag)
        if run is not None:
            return run
        if monotonic() - started >= timeout:
            names = cloud.names
            raise RunNotOpened(
                f"{uploaded.uri} is uploaded, but no run was opened within {timeout:g} s; look at the log group "
                f"{names.log_group('launch')} and the queue {names.launch}-dlq"
            )
        pause(started)
