"""``lnn estimate``: what a training would take, in every way to run it, before it is started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, connect
from lnn_cli.ui.console import command, duration, note, number, print_json, print_table
from lnn_client.cloud import Target
from lnn_client.datasets import check_training, existing_file
from lnn_client.parameters import parameters_path, read_parameters

if TYPE_CHECKING:
    from lnn.job.hyperparameters import Settings
    from lnn.planning.cost_model import Estimate
    from lnn_client.calibration import Calibration

NOT_INCLUDED = (
    "not in the dollars: Launch and storage (fractions of a cent), DynamoDB (${history:.2g} for this history), and by "
    "the month, used or not, cache and endpoints (about $26, see the README)"
)


def estimate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET.h5", help="HDF5 file with the examples.")],
    parameters: Annotated[
        Path | None,
        typer.Option("--parameters", "-p", help="Parameters file (default: ./parameters.json, else the project's)."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one parameter; repeat for more."),
    ] = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Measure short trainings first.")] = False,
    trainer_memory: Annotated[
        int | None, typer.Option(min=128, max=10_240, metavar="MB", help="Memory of the Trainer (default: 3008).")
    ] = None,
    neuron_memory: Annotated[
        int | None, typer.Option(min=128, max=10_240, metavar="MB", help="Memory of the Neuron (default: 1769).")
    ] = None,
    max_workers: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Most workers for auto (default: 16, locally 2).")
    ] = None,
    as_json: JsonOption = False,
    target: Annotated[
        Target | None,
        typer.Option(
            "--target",
            envvar="LNN_TARGET",
            help="Where it would run (default: aws; with --calibrate: local).",
            rich_help_panel="Where",
            show_envvar=False,
        ),
    ] = None,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Say what a training would take: seconds, US dollars, MB of memory.

    For AWS no account is needed: it is a model. With --calibrate, short
    trainings of this very job measure the cloud at hand, for later, too.

    Example: lnn estimate datasets.h5 --set epochs=1000
    """
    from lnn.errors import SettingsError
    from lnn.planning.planner import decide
    from lnn_client import calibration as calibrating
    from lnn_client.estimates import cost_model, estimates, matters

    existing_file(dataset)
    path = parameters_path(parameters)
    summary, settings = check_training(dataset, read_parameters(path, changes or [], None), str(path))
    where = target or (Target.LOCAL if calibrate else Target.AWS)
    model = cost_model(where, settings, summary, trainer_memory, neuron_memory, max_workers)
    if calibrate:
        cloud = connect(where, prefix, region)
        calibration = calibrating.calibrate(cloud, dataset, settings, model, note)
        note(f"calibration saved in {calibrating.save(where, calibration)}")
    else:
        found = calibrating.saved(where)
        if found is None and where is Target.LOCAL:
            note(f"figures of a machine like yours; measure your own with: {command('lnn estimate --calibrate')}")
        calibration = found or calibrating.NONE
    model = replace(model, corrections=calibration.corrections)
    rows = list(estimates(model))
    try:
        decision = decide(settings.model_copy(update={"strategy": "auto"}), model)
        auto = {**row(decision.chosen), "reason": decision.reason}
    except SettingsError as nothing:
        auto = {"strategy": None, "workers": None, "reason": str(nothing)}
    if as_json:
        print_json(
            {
                "target": str(where),
                "source": calibration.source,
                "calibration": asdict(calibration) if calibration.corrections else None,
                "rows": [row(found) for found in rows],
                "auto": auto,
            }
        )
        return
    shown = [found for found in rows if matters(found, rows, model.functions.max_workers)]
    _print(where, calibration, shown, auto, settings)
    if len(shown) < len(rows):
        note(
            f"{len(rows) - len(shown)} rows with more workers that are slower than fewer are not shown; --json has all"
        )


def row(found: Estimate) -> dict[str, Any]:
    """An estimate as ``--json`` prints it, with names as in a run's own outcome."""
    return {
        "strategy": found.strategy,
        "workers": found.workers,
        "seconds": {"total": found.seconds_total, "training": found.seconds_training},
        "ms_per_epoch": found.ms_per_epoch,
        "usd": found.usd,
        "invocations": found.invocations,
        "peak_memory_mb": found.peak_memory_mb,
        "fits": found.fits,
        "reason": found.reason,
    }


def _print(
    where: Target, calibration: Calibration, rows: list[Estimate], auto: dict[str, Any], settings: Settings
) -> None:
    from lnn.aws.pricing import dynamodb_usd

    headings = ("", "strategy", "workers", "upload to model", "an epoch", "US dollars", "invocations", "memory", "")
    picked = (auto["strategy"], auto["workers"])
    print_table(headings, _lines(rows, picked), right=headings[2:8])
    place = "AWS" if where is Target.AWS else "this machine's local cloud"
    note(f"\nfor {place}, {settings.epochs} epochs; {calibration.source}")
    note(f"{'* ' if picked[0] else ''}auto: {auto['reason']}")
    history = dynamodb_usd(writes=-(-settings.epochs // settings.record_every))
    note(NOT_INCLUDED.format(history=history))


def _lines(rows: list[Estimate], picked: tuple[str | None, int | None]) -> Iterator[list[str | Text]]:
    """A line for each way that fits; neighbors that do not fit for the same cause share one."""
    for _, group in groupby(rows, key=lambda r: (r.strategy, "" if r.fits else r.reason.split()[-1], r.fits or None)):
        ways = list(group)
        if ways[0].fits:
            for way in ways:
                mark = "*" if (way.strategy, way.workers) == picked else ""
                yield [
                    mark,
                    Text(way.strategy, style="bold" if mark else ""),
                    str(way.workers),
                    duration(way.seconds_total),
                    f"{number(way.ms_per_epoch, 3)} ms",
                    f"{way.usd:,.2f}" if way.usd >= 1 else f"{way.usd:.6f}",
                    f"{way.invocations:,}",
                    f"{way.peak_memory_mb:,} MB",
                    way.reason,
                ]
        else:
            workers = str(ways[0].workers) if len(ways) == 1 else f"{ways[0].workers} to {ways[-1].workers}"
            reason = f"does not fit: {ways[0].reason}"
            dim = [Text(cell, style="dim") for cell in (ways[0].strategy, workers, "-", "-", "-", "-", "-", reason)]
            yield ["", *dim]
