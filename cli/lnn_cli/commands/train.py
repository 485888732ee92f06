"""``lnn train``: an upload with its parameters, and the run that it starts."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lnn.runs.record import Run
from lnn_cli.options import DatasetArgument, JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import command, note, print_json, say, tell_warnings
from lnn_cli.ui.facts import tell_end
from lnn_client.cloud import Cloud, Target
from lnn_client.datasets import check_training, existing_file
from lnn_client.errors import FollowTimeout
from lnn_client.parameters import parameters_path, read_parameters
from lnn_client.runs import result


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
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="A name for the run.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; repeat for more.")] = None,
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
    from lnn_cli.ui.upload import launched_run, opened_run, say_how_to_watch, show_upload
    from lnn_client.uploads import DATASET, own_folder

    existing_file(dataset)
    path = parameters_path(parameters)
    named = [] if name is None else [f"name={json.dumps(name)}"]
    tagged = [f"tags={json.dumps(tags)}"] if tags else []
    content = read_parameters(path, [*(changes or []), *named, *tagged], strategy)
    if check:
        tell_warnings(check_training(dataset, content, str(path))[0].warnings)
    cloud = connect(target, prefix, region)
    run = opened_run(cloud, show_upload(cloud, dataset, content, own_folder(), DATASET))
    run_id = run.run_id
    note(f"run {run_id} is open")
    if wait:
        run = _wait(cloud, run_id, timeout, as_json=as_json)
    else:
        run = launched_run(cloud, run)
        if run.status != "FAILED":
            say_how_to_watch(run_id)
    if not check:
        tell_warnings(run.warnings)
    if wait or run.status == "FAILED":
        tell_end(run, as_json=as_json)
        if not as_json:
            say(f"model: {result(run)['model']}")
    elif as_json:
        print_json(result(run))
    else:
        say(run_id)


def _wait(cloud: Cloud, run_id: str, timeout: float | None, *, as_json: bool) -> Run:
    from lnn_cli.ui.progress import watch_run

    try:
        return watch_run(cloud.ledger, run_id, timeout)
    except FollowTimeout as error:
        if as_json:
            print_json(result(error.run))
        raise
    except KeyboardInterrupt:
        watch, stop = command(f"lnn watch {run_id}"), command(f"lnn stop {run_id}")
        note(f"no longer watching; run {run_id} goes on: {watch}, or end it: {stop}")
        raise
