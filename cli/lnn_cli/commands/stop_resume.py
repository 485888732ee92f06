"""``lnn stop`` and ``lnn resume``: ending a run early, and letting one go on."""

from typing import Annotated

import typer

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import command, note, print_json, say
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.facts import failure, tell_end
from lnn_client.cloud import LATEST, Target
from lnn_client.runs import result

TimeoutOption = Annotated[
    float | None, typer.Option(min=0, metavar="SECONDS", help="With --wait: give up waiting after so many seconds.")
]


def stop(
    run: RunArgument = LATEST,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until the run has stopped.")] = False,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Ask a run to stop; its model so far is kept.

    It stops after the epoch that it is in.

    Example: lnn stop latest --wait
    """
    from lnn_cli.ui.progress import watch_run
    from lnn_client.stepping import request_stop

    cloud = connect(target, prefix, region)
    run_id = cloud.find_run(run).run_id
    asked = request_stop(cloud, run_id)
    if not wait:
        if as_json:
            print_json(result(asked))
        else:
            say(f"asked run {run_id} to stop after the epoch it is in, or the batch of a long one")
        return
    ended = watch_run(cloud, run_id, timeout)
    if as_json:
        print_json(result(ended))
    if ended.status == "COMPLETED":
        raise CliError(f"run {run_id} had completed before it could stop; see: {command(f'lnn show {run_id}')}")
    if ended.status != "STOPPED":
        raise CliError(failure(ended))
    if not as_json:
        say(f"run {run_id} stopped after epoch {ended.epoch}; go on with: {command(f'lnn resume {run_id}')}")


def resume(
    run: RunArgument = LATEST,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Train N epochs in all: a completed run goes on, to the same bits as a run of N from the start.",
        ),
    ] = None,
    step: Annotated[
        bool | None,
        typer.Option("--step/--no-step", help="Wait for you at each step, or no more.", show_default=False),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Show progress until the run ends.")] = False,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Let a stopped or failed run go on, or with --epochs a completed one.

    It goes on from its last checkpoint.

    With --wait the exit status is 0 only if the run completes.

    Example: lnn resume latest --wait
    """
    from lnn_cli.ui.progress import watch_run

    cloud = connect(target, prefix, region)
    run_id = cloud.find_run(run).run_id
    generation = cloud.resume(run_id, epochs, step)
    note(f"run {run_id} goes on as generation {generation}")
    if wait:
        tell_end(watch_run(cloud, run_id, timeout), as_json=as_json)
    elif as_json:
        print_json(result(cloud.find_run(run_id)))
    else:
        say(f"watch it: {command(f'lnn watch {run_id}')}")
