"""``lnn estimate``: what a training would take, in every way to run it, before it is started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

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
    TestOption,
    ValidationOption,
    WeightsOption,
    connect,
)
from lnn_cli.ui.console import command, duration, note, number, print_json, print_table
from lnn_cli.ui.fitting import fitting, summary_if_valid
from lnn_cli.ui.sources import TableOptions, as_dataset
from lnn_client.cloud import Cloud, Target
from lnn_client.datasets import check_training
from lnn_client.parameters import parameters_path, read_parameters

if TYPE_CHECKING:
    from lnn.job.hyperparameters import Settings
    from lnn.planning.cost_model import CostModel, Estimate
    from lnn_client.calibration import Calibration

NOT_INCLUDED = (
    "not in the dollars: Launch and storage (fractions of a cent), DynamoDB (at most ${history:.2g} for this history), "
    "and by the month, used or not, cache and endpoints (about $26, see docs/aws.md)"
)


def estimate(
    files: DataArgument,
    label: LabelOption = None,
    test: TestOption = None,
    validation: ValidationOption = None,
    missing: MissingOption = None,
    drop: DropOption = None,
    weights: WeightsOption = None,
    parameters: ParametersOption = None,
    changes: ChangesOption = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Measure short trainings first.")] = False,
    trainer_memory: Annotated[
        int | None, typer.Option(min=128, max=10_240, metavar="MB", help="Of the Trainer (3008).")
    ] = None,
    neuron_memory: Annotated[
        int | None, typer.Option(min=128, max=10_240, metavar="MB", help="Of the Neuron (1769).")
    ] = None,
    max_workers: Annotated[
        int | None, typer.Option(min=1, max=256, metavar="N", help="Most for auto (16, local 2).")
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

    DATA and the network that is proposed for it are as in lnn train. For AWS no
    account is needed: it is a model. With --calibrate, short trainings of this
    very job measure the cloud at hand, for later, too.

    Example: lnn estimate datasets.h5 --set epochs=1000
    """
    from lnn.errors import SettingsError
    from lnn.planning.planner import decide
    from lnn_client.estimates import cost_model, estimates, matters

    path, wanted = parameters_path(parameters), changes or []
    where = target or (Target.LOCAL if calibrate else Target.AWS)
    with as_dataset(files, TableOptions(label, test, missing, drop or [], validation, weights)) as (file, made):
        known = summary_if_valid(file)
        chosen = fitting(path, known, made, wanted) if parameters is None else []
        content = read_parameters(path, [*chosen, *wanted], None)
        summary, settings = check_training(file, content, str(path), known)
        model = cost_model(where, settings, summary, trainer_memory, neuron_memory, max_workers)
        cloud = connect(where, prefix, region) if calibrate else None
        calibration = _saved(where) if cloud is None else _measured(cloud, file, settings, model)
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


def _measured(cloud: Cloud, file: Path, settings: Settings, model: CostModel) -> Calibration:
    """What short trainings on the cloud say; saved for later."""
    from lnn_client.calibration import calibrate, save

    calibration = calibrate(cloud, file, settings, model, note)
    note(f"calibration saved in {save(cloud.target, calibration)}")
    return calibration


def _saved(where: Target) -> Calibration:
    """What was measured before; nothing where nobody has."""
    from lnn_client.calibration import NONE, saved

    found = saved(where)
    if found is None and where is Target.LOCAL:
        note(f"figures of a machine like yours; measure your own with: {command('lnn estimate --calibrate')}")
    return found or NONE


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
