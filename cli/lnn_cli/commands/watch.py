"""``lnn watch``: a run, live until it ends."""

from typing import Annotated

import typer

from lnn_cli.options import PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import command, note
from lnn_cli.ui.facts import tell_end
from lnn_client.cloud import LATEST, Target


def watch(
    run: RunArgument = LATEST,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Stop watching after so many seconds; the run goes on."),
    ] = None,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Follow a run live until it ends.

    Shows the cost with its curve, accuracy, epochs/s, time and US dollars left,
    hand-overs and faults; of `neuron` also which neurons worked last. In a
    pipe: a line at every change, and now and then.
    The exit status is 0 only if the run completes.

    Example: lnn watch latest
    """
    from lnn_cli.ui.progress import watch_run

    cloud = connect(target, prefix, region)
    run_id = cloud.find_run(run).run_id
    try:
        ended = watch_run(cloud, run_id, timeout)
    except KeyboardInterrupt:
        note(f"no longer watching; run {run_id} goes on, until: {command(f'lnn stop {run_id}')}")
        raise
    tell_end(ended, as_json=False)
