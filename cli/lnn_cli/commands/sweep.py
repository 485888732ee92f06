"""``lnn sweep``: many trainings that differ in some settings, side by side, for the best of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnn_cli.options import (
    ChangesOption,
    JsonOption,
    LabelOption,
    ParametersOption,
    PrefixOption,
    RegionOption,
    TargetOption,
    WeightsOption,
    connect,
)
from lnn_cli.ui.console import command, note, number, print_json, print_table, say, share
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.fitting import fitting, summary_if_valid
from lnn_cli.ui.sources import TableOptions, as_dataset
from lnn_cli.ui.trials import best_in_words, cost, ranked, short
from lnn_client.cloud import Target
from lnn_client.parameters import parameters_path, read_parameters

if TYPE_CHECKING:
    from lnn_client.cloud import Cloud
    from lnn_client.sweeps import Sweep, Trial


def sweep(
    files: Annotated[list[Path] | None, typer.Argument(metavar="DATA...", help="Files, or a folder.")] = None,
    space: Annotated[Path | None, typer.Option("--space", metavar="FILE", help="JSON: the settings that vary.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trainings.")] = 30,
    parallel: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 4,
    sampler: Annotated[str, typer.Option(metavar="HOW", help="tpe, random, grid.", show_default=False)] = "tpe",
    pruner: Annotated[
        str, typer.Option(metavar="HOW", help="End poor trials: median, halving.", show_default=False)
    ] = "none",
    max_usd: Annotated[float | None, typer.Option(min=0, metavar="USD", help="Budget of all.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Time for all.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Runs of a trial: cross-validation.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn.")] = 0,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Default: by the time.")] = None,
    resume: Annotated[str | None, typer.Option("--resume", metavar="NAME", help="Go on with a sweep.")] = None,
    label: LabelOption = None,
    weights: WeightsOption = None,
    parameters: ParametersOption = None,
    changes: ChangesOption = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Train with many settings and keep the best, by the validation cost.

    Only the best model is registered. Ctrl-C leaves trials at work alone.

    Example: lnn sweep iris.csv --label species --space space.json --trials 12
    """
    cloud = connect(target, prefix, region)
    if resume is not None:
        from lnn_client.sweeps import found

        if files or space:
            raise CliError("--resume takes a sweep's data and space from the sweep; omit them")
        going = found(cloud, resume)
    else:
        if not files or space is None:
            raise CliError("name the data and --space FILE, or a sweep to go on with: --resume NAME")
        chosen = {
            "trials": trials,
            "parallel": parallel,
            "sampler": _one_of("--sampler", sampler, ("tpe", "random", "grid")),
            "pruner": _one_of("--pruner", pruner, ("none", "median", "halving")),
            "max_usd": max_usd,
            "seconds": seconds,
            "folds": folds,
            "seed": seed,
            "name": name or f"{datetime.now(UTC):%Y%m%d-%H%M%S}",
        }
        options = TableOptions(label, weights=weights)
        going = _created(cloud, files, options, space, parameters, changes or [], chosen)
    _run(going)
    best = going.register_best()
    if as_json:
        print_json(_as_json(going))
    else:
        _print(going)
    if best is None:
        has_none = "no trial of" if going.refit is None else "the last training of"
        raise CliError(f"{has_none} sweep {going.plan.name} has a model; see: {command('lnn runs')}")


def _one_of(option: str, given: str, known: tuple[str, ...]) -> str:
    if given not in known:
        raise CliError(f"{option} {given}: expected {', '.join(known[:-1])} or {known[-1]}")
    return given


def _created(
    cloud: Cloud,
    files: list[Path],
    options: TableOptions,
    space: Path,
    parameters: Path | None,
    changes: list[str],
    chosen: dict[str, Any],
) -> Sweep:
    """Check everything, say what it would take, and upload it."""
    from lnn.job.hyperparameters import load_json_object
    from lnn_client.datasets import existing_file
    from lnn_client.sweeps import VALIDATION_SHARE, Plan, checked, created, load_sampling

    try:
        drawn_from = json.loads(existing_file(space).read_text(encoding="utf-8"))
    except ValueError as error:
        raise CliError(f"{space}: not JSON: {error}") from error
    path = parameters_path(parameters)
    with as_dataset(files, options) as (file, made):
        # The check runs in a process of its own, and meanwhile this one imports what it needs next.
        with ThreadPoolExecutor(1) as aside:
            checking = aside.submit(summary_if_valid, file)
            load_sampling()
        summary = checking.result()
        fitted = fitting(path, summary, made, changes) if parameters is None else []
        base = load_json_object(read_parameters(path, [*fitted, *changes], None))
        plan = checked(Plan(space=drawn_from, parameters=base, **chosen), file, summary)
        if not base.get("validation") and plan.parameters.get("validation"):
            note(f"{VALIDATION_SHARE:.0%} of the training examples are held out to compare the trials by")
        if plan.folds:
            note(f"each trial is {plan.folds} runs, which validate with one fold each; the best is then trained on all")
        what = f"{plan.trials} trials, {plan.parallel} {'runs ' if plan.folds else ''}at once"
        note(f"sweep {plan.name}: {what}; go on with it after a break: {command(f'lnn sweep --resume {plan.name}')}")
        return created(cloud, plan, file)


def _run(going: Sweep) -> None:
    told: set[int | str] = set()

    def tell(current: Sweep) -> None:
        if current.refit is not None and (run_id := current.refit.run_id) is not None and run_id not in told:
            told.add(run_id)
            note(f"training the best settings with all training examples: run {run_id}")
        for trial in current.trials:
            if trial.state in ("waiting", "running") or trial.number in told:
                continue
            told.add(trial.number)
            best = current.best()
            so_far = "" if best is None else f"; best {number(best.value)} of trial {best.number}"
            settings = ", ".join(f"{key}={short(value)}" for key, value in trial.settings.items())
            place = f"trial {trial.number} of {current.plan.trials}"
            note(f"{place} {trial.state}: {cost(trial)}, {settings}{so_far}")

    try:
        going.run(tell)
    except KeyboardInterrupt:
        note(f"no longer driving it; trials at work go on, and all of it: lnn sweep --resume {going.plan.name}")
        raise
    if going.ended_early is not None:
        note(f"ended after {len(going.trials)} of {going.plan.trials} trials: {going.ended_early}")


def _print(going: Sweep) -> None:
    """The trials, the best first, with what varies."""
    headings, rows = ranked(going)
    print_table(headings, rows, right=("trial", "cost"))
    if importances := going.importances():
        told = ", ".join(f"{key} {share(value)}" for key, value in importances.items())
        note(f"what the cost depends on: {told}")
    if (best := best_in_words(going)) is not None:
        say(f"best: {best}")
        note(f"its trials as a page, with pictures: {command(f'lnn report {going.plan.name}')}")


def _as_json(going: Sweep) -> dict[str, Any]:
    best = going.best()
    told: dict[str, Any] = {
        "name": going.plan.name,
        "best": None if best is None else best.number,
        "ended_early": going.ended_early,
        "importances": going.importances(),
        "trials": [
            {
                "trial": one.number,
                "state": one.state,
                "run_id": one.run_id,
                "validation_cost": one.value,
                "settings": dict(one.settings),
                **({} if one.folds is None else {"spread": one.spread, "folds": _folds_as_json(one)}),
            }
            for one in going.ranking()
        ],
    }
    if going.plan.folds:
        refit = going.refit
        told["folds"] = going.plan.folds
        told["refit"] = (
            None
            if refit is None or refit.record is None
            else {"run_id": refit.run_id, "status": refit.record.status, "epochs": refit.record.epochs}
        )
    return told


def _folds_as_json(trial: Trial) -> list[dict[str, Any]]:
    return [{"fold": run.fold, "run_id": run.run_id, "validation_cost": run.value} for run in trial.runs]
