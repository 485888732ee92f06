"""``lnn train``: an upload with its parameters, and the run that it starts."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from lnn.runs.record import Run
from lnn_cli.options import (
    ChangesOption,
    DataArgument,
    DropOption,
    JsonOption,
    LabelOption,
    MissingOption,
    ParametersOption,
    PrefixOption,
    RegionOption,
    TargetOption,
    TestOption,
    ValidationOption,
    WeightsOption,
    connect,
)
from lnn_cli.ui.console import command, note, print_json, say, tell_warnings
from lnn_cli.ui.facts import tell_end
from lnn_cli.ui.fitting import fitting, summary_if_valid
from lnn_cli.ui.sources import TableOptions, as_dataset
from lnn_client.cloud import Cloud, Target
from lnn_client.datasets import check_training
from lnn_client.errors import FollowTimeout
from lnn_client.parameters import parameters_path, read_parameters
from lnn_client.runs import result


def train(
    files: DataArgument,
    label: LabelOption = None,
    test: TestOption = None,
    validation: ValidationOption = None,
    missing: MissingOption = None,
    drop: DropOption = None,
    weights: WeightsOption = None,
    parameters: ParametersOption = None,
    strategy: Annotated[str | None, typer.Option("--strategy", "-s", help="auto, fused, neuron, ...")] = None,
    step: Annotated[bool, typer.Option("--step", help="Wait for you at each step.", show_default=False)] = False,
    changes: ChangesOption = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="A name for the run.")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; repeatable.")] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Show progress to the end.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Stop waiting then."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Look for mistakes first.", show_default=False)
    ] = True,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Upload data with parameters: a run starts.

    DATA is a dataset, Coursera's two .h5 files, an .npz, MNIST's IDX files, a
    folder of pictures, or a table. Without -p the network is fitted to it.
    With --wait the exit status is 0 only if the run completes.

    Example: lnn train examples/digits/datasets.h5 --set epochs=50 --wait
    """
    from lnn_cli.ui.upload import launched_run, opened_run, say_how_to_watch, show_upload
    from lnn_client.uploads import DATASET, own_folder

    path = parameters_path(parameters)
    named = [] if name is None else [f"name={json.dumps(name)}"]
    tagged = [f"tags={json.dumps(tags)}"] if tags else []
    stepped = ["step=true"] if step else []
    wanted = [*(changes or []), *named, *tagged, *stepped]
    with as_dataset(files, TableOptions(label, test, missing, drop or [], validation, weights)) as (file, made):
        # The check runs in a process of its own, and meanwhile this one makes its clients.
        with ThreadPoolExecutor(1) as aside:
            checked = aside.submit(summary_if_valid, file) if check else None
            cloud = _connected_early(target, prefix, region)
        summary = checked.result() if checked else None
        chosen = fitting(path, summary, made, wanted) if parameters is None else []
        content = read_parameters(path, [*chosen, *wanted], strategy)
        if check:
            tell_warnings(check_training(file, content, str(path), summary)[0].warnings)
        cloud = cloud or connect(target, prefix, region)
        run = opened_run(cloud, show_upload(cloud, file, content, own_folder(), DATASET))
    run_id = run.run_id
    note(f"run {run_id} is open")
    if wait:
        run = _wait(cloud, run_id, timeout, as_json=as_json)
    else:
        run = launched_run(cloud, run)
        if run.status != "FAILED":
            say_how_to_watch(run_id)
            if run.is_stepped:
                note(f"it waits at each step: {command(f'lnn view {run_id}')}, or {command(f'lnn step {run_id}')}")
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


def _connected_early(target: Target, prefix: str | None, region: str | None) -> Cloud | None:
    """The deployment, its clients made; None where that fails: mistakes in the data are reported before that."""
    try:
        cloud = connect(target, prefix, region)
        cloud.s3, cloud.ledger  # noqa: B018 - each is made when it is first asked for
    except Exception:  # noqa: BLE001 - it fails again, and is reported, where it is needed
        return None
    return cloud


def _wait(cloud: Cloud, run_id: str, timeout: float | None, *, as_json: bool) -> Run:
    from lnn_cli.ui.progress import watch_run

    try:
        return watch_run(cloud, run_id, timeout)
    except FollowTimeout as error:
        if as_json:
            print_json(result(error.run))
        raise
    except KeyboardInterrupt:
        watch, stop = command(f"lnn watch {run_id}"), command(f"lnn stop {run_id}")
        note(f"no longer watching; run {run_id} goes on: {watch}, or end it: {stop}")
        raise
