"""``lnn watch``: a run, live until it ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lnn_cli.options import PrefixOption, RegionOption, RunArgument, TargetOption, connect
from lnn_cli.ui.console import command, note
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.facts import tell_end
from lnn_client.cloud import LATEST, Target
from lnn_client.progress import Look


def watch(
    run: RunArgument = LATEST,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Stop watching after so many seconds; the run goes on."),
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Follow it in a browser instead: the page of lnn view.")] = False,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the curves to DIR/RUN as they grow, for tensorboard --logdir DIR."),
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
    if web:
        if timeout is not None or tensorboard is not None:
            raise CliError("--web shows the page until Ctrl-C: leave out --timeout and --tensorboard")
        from lnn_cli.commands.view import view

        view(run, target=target, prefix=prefix, region=region)
        return
    from lnn_cli.ui.progress import watch_run

    cloud = connect(target, prefix, region)
    run_id = cloud.find_run(run).run_id
    try:
        with _event_file(tensorboard, run_id) as add:
            ended = watch_run(cloud, run_id, timeout, add)
    except KeyboardInterrupt:
        note(f"no longer watching; run {run_id} goes on, until: {command(f'lnn stop {run_id}')}")
        raise
    tell_end(ended, as_json=False)


@contextmanager
def _event_file(folder: Path | None, run_id: str) -> Iterator[Callable[[Look], None] | None]:
    """What adds a look to the event file of a run, in a folder of its own; nothing without a folder.

    Raises:
        CliError: an earlier watch has written there; TensorBoard would draw each curve twice.
    """
    if folder is None:
        yield None
        return
    from lnn_cli.export.tensorboard import EventFile

    own = folder / run_id
    if own.exists():
        raise CliError(f"{own} is there already, from an earlier watch; delete it, or name another folder")
    with EventFile(own) as events:
        yield lambda look: events.add(look.run, look.history)
