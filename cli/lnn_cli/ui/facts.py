"""A run in words: its facts, its outcome, why it failed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lnn.names import s3_uri
from lnn.runs.record import EpochRow, Run
from lnn_cli.ui import scores
from lnn_cli.ui.console import command, duration, moment, number, print_json, say, status, tell_warnings
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.standing import cost_by_now
from lnn_client.runs import ms_per_epoch, result, seconds_total, seconds_training
from lnn_client.stepping import waits_at

if TYPE_CHECKING:
    from rich.text import Text

QUIET_SECONDS = 60.0
"""A running run without a sign of life for so long is called quiet: longer than a lease, and than most epochs."""


SHOWN_TARGETS = 8


def failure(run: Run) -> str:
    """Why a run that has ended is not COMPLETED, and what to do."""
    run_id = run.run_id
    reason = str(run.reason or "no reason is recorded").rstrip(".")
    if run.status == "STOPPED":
        resume = command(f"lnn resume {run_id}")
        return f"run {run_id} was stopped ({reason}); go on with: {resume}"
    return f"run {run_id} failed: {reason}; see: {command(f'lnn show {run_id}')}"


def tell_end(run: Run, *, as_json: bool) -> None:
    """Prints what came of a run that has ended.

    Raises:
        CliError: it is not COMPLETED; says why.
    """
    if as_json:
        print_json(result(run))
    if run.status != "COMPLETED":
        raise CliError(failure(run))
    if not as_json:
        say(outcome(run))
        tell_warnings(run.remarks)


def outcome(run: Run) -> str:
    """One sentence about a completed run."""
    figures = [f"cost {number(run.final_cost)}", *(f"{name} {value}" for name, value in scores.known(run))]
    if (metrics := run.test_metrics) is not None:
        figures += [f"base rate {metrics.base_rate:.1%}", f"balanced accuracy {metrics.balanced_accuracy:.1%}"]
        figures.append(f"recall {metrics.recall_in_words}")
    spent = seconds_total(run) or seconds_training(run)
    time = f" in {duration(spent)}" if spent is not None else ""
    reason = f"; {run.reason}" if run.reason else ""
    return f"{run.run_id} completed {run.epoch} epochs{time}: {', '.join(figures)}{reason}"


def facts(run: Run, row: EpochRow | None = None) -> Iterator[tuple[str, str | Text]]:
    """All that is known of a run, in words: names and values. ``row`` is the newest of one that goes on."""
    from rich.text import Text

    yield "run", run.run_id
    if run.name:
        yield "name", Text(run.name)
    if run.tags:
        yield "tags", Text(", ".join(run.tags))
    yield "status", status(run.status)
    if run.reason:
        yield "reason", Text(str(run.reason), style="red" if run.status == "FAILED" else "")
    for warning in (*run.warnings, *run.remarks):
        yield "warning", Text(str(warning), style="yellow")
    yield from _how(run)
    yield from _figures(run, row)
    yield from _times(run)
    if run.artifacts:
        yield "model", run.artifacts["params"]
        if "results" in run.artifacts:
            yield "results", run.artifacts["results"]


def _how(run: Run) -> Iterator[tuple[str, str]]:
    if run.dataset:
        yield "dataset", s3_uri(run.dataset["bucket"], run.dataset["key"])
    dimensions = run.dimensions
    if dimensions:
        validation = dimensions.get("validation_examples")
        counts = f"{dimensions['examples']} for training" + (f", {validation} for validation" if validation else "")
        counts += f", {dimensions['test_examples']} for testing"
        targets = dimensions.get("targets")
        labels = f"{len(dimensions['classes'])} classes" if targets is None else f"to predict {_some(targets)}"
        yield "examples", f"{counts}; {dimensions['features']} features, {labels}"
        yield "network", run.network
    if run.strategy:
        why = run.strategy_reason
        yield "strategy", f"{run.strategy} ({why})" if why else str(run.strategy)
    if (run.workers or 1) > 1:
        yield "workers", str(run.workers)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_TARGETS} more" if len(names) > SHOWN_TARGETS else ""
    return ", ".join(names[:SHOWN_TARGETS]) + more


def _figures(run: Run, row: EpochRow | None) -> Iterator[tuple[str, str]]:
    if run.epochs:
        yield "epochs", f"{run.epoch} of {run.epochs}"
    if (cost := cost_by_now(run, row)) is not None:
        yield "final cost" if run.has_ended else "cost", number(cost, 6)
    if run.best_epoch is not None and run.validation_cost is not None:
        yield "validation", f"lowest cost {number(run.validation_cost, 6)}, of epoch {run.best_epoch}{_kept(run)}"
    yield from scores.known(run, row)
    yield from scores.honest(run)


def _kept(run: Run) -> str:
    """Which model a run with a validation set has."""
    return ", whose model this is" if run.settings.get("keep") == "best" else "; the model is the last epoch's"


def _times(run: Run) -> Iterator[tuple[str, str]]:
    yield "opened", moment(run.created_at)
    if run.finished_at is not None:
        yield "finished", moment(run.finished_at)
    if seconds_total(run) is not None:
        yield "upload to model", duration(seconds_total(run))
    pace = ms_per_epoch(run)
    if pace is not None:
        yield "training", f"{duration(seconds_training(run))}, {number(pace)} ms an epoch"
    more = f", {run.generation} generations" if run.generation > 1 else ""
    yield "invocations", f"{run.use['invocations']:,}{more}"
    if disturbances := _disturbances(run):
        yield "disturbed", disturbances
    if waits := waits_at(run):
        yield "waits", f"{waits['done']}; next: {waits['next']} ({command(f'lnn step {run.run_id}')})"
    silent = time.time() - (run.heartbeat or math.inf)
    if run.status == "RUNNING" and not run.is_paused and silent > QUIET_SECONDS:
        yield (
            "quiet",
            (
                f"no sign of life for {duration(silent)}; the watch takes it up within a minute or so. If it does "
                "not, the Trainer's log and dead letters say why"
            ),
        )
    if run.usd:
        yield "cost of it", f"${run.usd:.6f}, estimated"
    if run.estimate:
        expected = run.estimate
        yield "expected on AWS", f"{duration(expected['seconds'])} and ${expected['usd']:.6f}, before it began"


def _disturbances(run: Run) -> str:
    sums = run.disturbances
    parts = []
    if sums["takeovers"]:
        times = {1: "once", 2: "twice"}.get(sums["takeovers"], f"{sums['takeovers']} times")
        parts.append(f"taken over {times}, after {duration(sums['silent_seconds'])} in all with nobody at work")
    if sums["repeated_epochs"]:
        counted = "1 epoch" if sums["repeated_epochs"] == 1 else f"{sums['repeated_epochs']} epochs"
        parts.append(f"{counted} trained again from the checkpoint")
    return "; ".join(parts)
