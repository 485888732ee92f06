"""An upload on a terminal and in a pipe, until Launch has answered it."""

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from lnn.characters import escaped
from lnn.runs.record import Run
from lnn_cli.ui.console import command, messages, note, size
from lnn_client.cloud import Cloud
from lnn_client.errors import FollowTimeout
from lnn_client.progress import follow
from lnn_client.runs import has_been_launched
from lnn_client.uploads import Uploaded, upload_training, wait_for_run

LAUNCH_SECONDS = 60.0


def show_upload(cloud: Cloud, dataset: Path, parameters: bytes | None, folder: str, name: str) -> Uploaded:
    """Upload a training, with a progress bar on a terminal and a line elsewhere."""
    console = messages()
    total = dataset.stat().st_size
    if not console.is_terminal:
        note(f"uploading {dataset} ({size(total)}) to s3://{cloud.names.bucket}/{folder}{name}")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(escaped(dataset.name), total=total)
        return upload_training(
            cloud, dataset, parameters, folder, name, sent=lambda count: progress.advance(task, count)
        )


def opened_run(cloud: Cloud, uploaded: Uploaded) -> Run:
    """The run that Launch opens for the upload."""
    with messages().status("waiting for Launch to open the run"):
        return wait_for_run(cloud, uploaded)


def launched_run(cloud: Cloud, run: Run) -> Run:
    """The run once Launch has accepted or refused it; as it is if that takes long."""
    try:
        for look in follow(cloud.ledger, run.run_id, until=has_been_launched, timeout=LAUNCH_SECONDS):
            run = look.run
    except FollowTimeout:
        note("Launch has not said yet whether it accepts the run")
    return run


def say_how_to_watch(run_id: str) -> None:
    """The commands that come next, on standard error."""
    for purpose, line in (("watch it", "watch"), ("look at it", "show"), ("stop it", "stop")):
        note(f"{purpose + ':':<12}{command(f'lnn {line} {run_id}')}")
