"""``lnn train`` and ``lnn upload``: an upload, and the run that it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lnn.names import TRAINING_INPUT
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption
from lnn_cli.ui.console import note, print_json
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import Cloud, Target, command, connect
from lnn_client.datasets import check_training, existing_file, tell_warnings
from lnn_client.parameters import parameters_path, read_parameters
from lnn_client.runs import Run, failure, has_been_launched, outcome, result

LAUNCH_SECONDS = 60.0

DatasetArgument = Annotated[Path, typer.Argument(metavar="DATASET.h5", help="HDF5 file with the examples.")]


def train(
    dataset: DatasetArgument,
    parameters: Annotated[
        Path | None,
        typer.Option("--parameters", "-p", help="Parameters file (default: ./parameters.json, else the project's)."),
    ] = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="How to train: auto, neuron, fused, ...")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one parameter; repeat for more."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Show progress until the run ends.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Stop waiting after so many seconds; the run goes on."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Look for mistakes before the upload.", show_default=False)
    ] = True,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Upload a dataset with its parameters: a run starts.

    With --wait the exit status is 0 only if the run completes.

    Example: lnn train examples/digits/datasets.h5 --set epochs=50 --wait
    """
    from lnn_client.uploads import DATASET, own_folder, say_how_to_watch, upload_training, wait_for_run

    existing_file(dataset)
    path = parameters_path(parameters)
    content = read_parameters(path, changes or [], strategy)
    if check:
        tell_warnings(check_training(dataset, content, str(path))[0].warnings)
    cloud = connect(target, prefix, region)
    uploaded = upload_training(cloud, dataset, content, own_folder(), DATASET)
    run = wait_for_run(cloud, uploaded)
    run_id = run["run_id"]
    note(f"run {run_id} is open")
    if wait:
        run = _wait(cloud, run_id, timeout, as_json=as_json)
    else:
        run = _until_launched(cloud, run)
        if run["status"] != "FAILED":
            say_how_to_watch(run_id)
    if not check:
        tell_warnings(run.get("warnings") or [])
    if as_json:
        print_json(result(run))
    if run["status"] == "FAILED" or (wait and run["status"] != "COMPLETED"):
        raise CliError(failure(run))
    if wait and not as_json:
        typer.echo(outcome(run))
        typer.echo(f"model: {result(run)['model']}")
    elif not as_json:
        typer.echo(run_id)


def upload(
    dataset: DatasetArgument,
    parameters: Annotated[
        Path | None, typer.Argument(metavar="[PARAMETERS.json]", help="Replaces the parameters in the bucket.")
    ] = None,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Upload a dataset to be trained with the bucket's parameters.

    It goes straight to training_input/, where parameters.json of the last
    upload applies. New parameters, if given, are uploaded first.
    Nothing is checked here: Launch does that.

    Example: lnn upload datasets.h5 parameters.json
    """
    from lnn_client.uploads import say_how_to_watch, upload_training, wait_for_run

    existing_file(dataset)
    if dataset.suffix != ".h5":
        raise CliError(f"{dataset} does not end in .h5, and only such uploads start a run; rename it")
    content = existing_file(parameters).read_bytes() if parameters else None
    cloud = connect(target, prefix, region)
    uploaded = upload_training(cloud, dataset, content, TRAINING_INPUT, dataset.name)
    typer.echo(f"uploaded to {uploaded.uri}")
    run = wait_for_run(cloud, uploaded)
    typer.echo(f"run {run['run_id']}")
    run = _until_launched(cloud, run)
    if run["status"] == "FAILED":
        raise CliError(failure(run))
    tell_warnings(run.get("warnings") or [])
    say_how_to_watch(run["run_id"])


def _until_launched(cloud: Cloud, run: Run) -> Run:
    """The run once Launch has accepted or refused it; as it is if that takes long."""
    from lnn_cli.ui.progress import FollowTimeoutError, follow

    try:
        for look in follow(cloud.ledger, run["run_id"], until=has_been_launched, timeout=LAUNCH_SECONDS):
            run = look.run
    except FollowTimeoutError:
        note("Launch has not said yet whether it accepts the run")
    return run


def _wait(cloud: Cloud, run_id: str, timeout: float | None, *, as_json: bool) -> Run:
    from lnn_cli.ui.progress import FollowTimeoutError, watch_run

    try:
        return watch_run(cloud.ledger, run_id, timeout=timeout)
    except FollowTimeoutError as error:
        if as_json:
            print_json(result(error.run))
        raise
    except KeyboardInterrupt:
        watch, stop = command(f"lnn watch {run_id}"), command(f"lnn stop {run_id}")
        note(f"no longer watching; run {run_id} goes on: {watch}, or end it: {stop}")
        raise
