"""An upload on a terminal and in a pipe, until Launch has answered it."""

from pathlib import Path

from lnn.runs.record import Run
from lnn_cli.ui.console import command, messages, messages_are_piped, note, size
from lnn_client.cloud import Cloud
from lnn_client.errors import FollowTimeout
from lnn_client.progress import follow
from lnn_client.runs import has_been_launched
from lnn_client.uploads import Uploaded, upload_training, wait_for_run

LAUNCH_SECONDS = 60.0


def show_upload(cloud: Cloud, dataset: Path, parameters: bytes | None, folder: str, name: str) -> Uploaded:
    """Upload a training, with a progress bar on a terminal and a line elsewhere."""
    total = dataset.stat().st_size
    if messages_are_piped():
        note(f"uploading {dataset} ({size(total)}) to s3://{cloud.names.bucket}/{folder}{name}")
        return upload_training(cloud, dataset, parameters, folder, name)
    from lnn_cli.ui.upload_bar import upload_bar

    with upload_bar(dataset.name, total) as sent:
        return upload_training(cloud, dataset, parameters, folder, name, sent=sent)


def opened_run(cloud: Cloud, uploaded: Uploaded) -> Run:
    """The run that Launch opens for the upload."""
    if messages_are_piped():
        return wait_for_run(cloud, uploaded)
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
