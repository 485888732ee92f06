"""Uploading a dataset, and finding the run that the upload starts."""

from __future__ import annotations

import secrets
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from lnn.names import PARAMETERS, TRAINING_INPUT, UPLOAD_STARTED_AT
from lnn_cli.ui.console import duration, messages, note, size
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import Cloud, command
from lnn_client.runs import Run

DATASET = "datasets.h5"
OPEN_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.25


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
    cloud: Cloud, dataset: Path, parameters: bytes | None, folder: str, name: str, *, quiet: bool = False
) -> Uploaded:
    """Uploads the parameters, then the dataset: the dataset's arrival starts the run."""
    bucket = cloud.names.bucket
    started = time()
    if parameters is not None:
        cloud.s3.put_object(Bucket=bucket, Key=folder + PARAMETERS, Body=parameters, ContentType="application/json")
    key = folder + name
    _upload_with_progress(cloud, dataset, bucket, key, {UPLOAD_STARTED_AT: f"{started:.6f}"}, quiet=quiet)
    stored = cloud.s3.head_object(Bucket=bucket, Key=key)
    return Uploaded(bucket, key, stored.get("VersionId"), stored["ETag"])


def wait_for_run(
    cloud: Cloud, uploaded: Uploaded, timeout: float = OPEN_TIMEOUT_SECONDS, *, quiet: bool = False
) -> Run:
    """The run that Launch opens for the upload.

    Raises:
        CliError: Launch opened none within ``timeout`` seconds.
    """
    deadline = monotonic() + timeout
    with nullcontext() if quiet else messages().status("waiting for Launch to open the run"):
        while True:
            run = cloud.ledger.find_run_of_upload(uploaded.bucket, uploaded.key, uploaded.version_id or uploaded.etag)
            if run is not None:
                return run
            if monotonic() >= deadline:
                raise CliError(_no_run(cloud, uploaded, timeout))
            sleep(_POLL_SECONDS)


def say_how_to_watch(run_id: str) -> None:
    """The commands that come next, on standard error."""
    for purpose, line in (("watch it", "watch"), ("look at it", "show"), ("stop it", "stop")):
        note(f"{purpose + ':':<12}{command(f'lnn {line} {run_id}')}")


def _upload_with_progress(
    cloud: Cloud, path: Path, bucket: str, key: str, metadata: dict[str, str], *, quiet: bool
) -> None:
    console = messages()
    total = path.stat().st_size
    if not console.is_terminal and not quiet:
        note(f"uploading {path} ({size(total)}) to s3://{bucket}/{key}")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task(path.name, total=total)
        cloud.s3.upload_file(
            str(path),
            bucket,
            key,
            ExtraArgs={"Metadata": metadata},
            Callback=lambda count: progress.advance(task, count),
        )


def _no_run(cloud: Cloud, uploaded: Uploaded, timeout: float) -> str:
    names = cloud.names
    return (
        f"{uploaded.uri} is uploaded, but no run was opened within {duration(timeout)}; look at the log group "
        f"{names.log_group('launch')} and the queue {names.launch}-dlq, and check the system with: "
        f"{command('lnn doctor')}"
    )
