"""``lnn step``: letting a run that waits at each step go on."""

from typing import Annotated

import typer

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import command, note, print_json, say
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.facts import tell_end
from lnn_client.cloud import LATEST, Target
from lnn_client.errors import FollowTimeout

_SECONDS = 60.0


def step(
    run: RunArgument = LATEST,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="Take N steps (default: 1).")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Go on to the end of the Nth epoch from here.")
    ] = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Let a run that was begun with --step take its next step.

    Prints what has been computed then, and what comes next. The page of lnn
    view has a button for it. A run waits for 30 minutes; then it stops.

    Example: lnn step latest
    """
    from lnn_client.stepping import arrived, next_step, waits_at

    if count is not None and epochs is not None:
        raise CliError("--count and --epochs are both there; give one of them")
    cloud = connect(target, prefix, region)
    found = next_step(cloud, cloud.find_run(run).run_id, count or 1, epochs=epochs or 0)
    try:
        found = arrived(cloud, found, _SECONDS)
    except FollowTimeout as error:
        found = error.run
    waits = waits_at(found)
    if as_json:
        print_json({"run_id": found.run_id, "status": found.status, "epoch": found.epoch, "waits": waits})
    elif found.has_ended:
        tell_end(found, as_json=False)
    elif waits is None:
        note(f"run {found.run_id} goes on; see where it is: {command(f'lnn show {found.run_id}')}")
    else:
        say(f"{waits['done']}; next: {waits['next']}")
