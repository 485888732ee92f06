"""A run in words: its facts, its outcome, why it failed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

from rich.text import Text

from lnn.runs.event_log import disturbances
from lnn_cli.ui.console import command, duration, moment, number, share, status
from lnn_client.runs import Run, ms_per_epoch, seconds_total, seconds_training

QUIET_SECONDS = 60.0
"""A running run without a sign of life for so long is called quiet: longer than a lease, and than most epochs."""


def failure(run: Run) -> str:
    """Why a run that has ended is not COMPLETED, and what to do."""
    run_id = run["run_id"]
    reason = str(run.get("reason") or "no reason is recorded").rstrip(".")
    if run["status"] == "STOPPED":
        resume = command(f"lnn resume {run_id}")
        return f"run {run_id} was stopped ({reason}); go on with: {resume}"
    return f"run {run_id} failed: {reason}; see: {command(f'lnn show {run_id}')}"


def outcome(run: Run) -> str:
    """One sentence about a completed run."""
    figures = [f"cost {number(run.get('final_cost'))}", f"training accuracy {share(run.get('train_accuracy'))}"]
    if run.get("test_accuracy") is not None:
        figures.append(f"test accuracy {share(run['test_accuracy'])}")
    spent = seconds_total(run) or seconds_training(run)
    time = f" in {duration(spent)}" if spent is not None else ""
    reason = f"; {run['reason']}" if run.get("reason") else ""
    return f"{run['run_id']} completed {run.get('epoch')} epochs{time}: {', '.join(figures)}{reason}"


def facts(run: Run) -> Iterator[tuple[str, str | Text]]:
    """All that is known of a run, in words: names and values."""
    yield "run", run["run_id"]
    yield "status", status(run["status"])
    if run.get("reason"):
        yield "reason", Text(str(run["reason"]), style="red" if run["status"] == "FAILED" else "")
    for warning in run.get("warnings") or []:
        yield "warning", Text(str(warning), style="yellow")
    yield from _how(run)
    yield from _figures(run)
    yield from _times(run)
    for name, address in (run.get("artefacts") or {}).items():
        yield {"params": "model"}.get(name, name), str(address)


def _how(run: Run) -> Iterator[tuple[str, str]]:
    dataset = run.get("dataset") or {}
    if dataset:
        yield "dataset", f"s3://{dataset.get('bucket')}/{dataset.get('key')}"
    dimensions = run.get("dimensions") or {}
    if dimensions:
        classes = dimensions.get("classes") or []
        counts = f"{dimensions.get('examples')} for training, {dimensions.get('test_examples')} for testing"
        yield "examples", f"{counts}; {dimensions.get('features')} features, {len(classes)} classes"
        if dimensions.get("sizes"):
            yield "network", "-".join(str(units) for units in dimensions["sizes"])
    if run.get("strategy"):
        why = run.get("strategy_reason")
        yield "strategy", f"{run['strategy']} ({why})" if why else str(run["strategy"])
    if (run.get("workers") or 1) > 1:
        yield "workers", str(run["workers"])


def _figures(run: Run) -> Iterator[tuple[str, str]]:
    if run.get("epochs"):
        yield "epochs", f"{run.get('epoch', 0)} of {run['epochs']}"
    if run.get("final_cost") is not None:
        yield "final cost", number(run["final_cost"], 6)
    for name, label in (("train_accuracy", "training accuracy"), ("test_accuracy", "test accuracy")):
        if run.get(name) is not None:
            yield label, share(run[name])


def _times(run: Run) -> Iterator[tuple[str, str]]:
    yield "opened", moment(run.get("created_at"))
    if run.get("finished_at") is not None:
        yield "finished", moment(run["finished_at"])
    if seconds_total(run) is not None:
        yield "upload to model", duration(seconds_total(run))
    pace = ms_per_epoch(run)
    if pace is not None:
        yield "training", f"{duration(seconds_training(run))}, {number(pace)} ms an epoch"
    if run.get("invocations") is not None:
        generations = run.get("generation") or 0
        more = f", {generations} generations" if generations > 1 else ""
        yield "invocations", f"{run['invocations']}{more}"
    if run.get("disturbances"):
        yield "disturbed", _disturbances(run)
    silent = time.time() - float(run.get("heartbeat") or math.inf)
    if run["status"] == "RUNNING" and silent > QUIET_SECONDS:
        yield (
            "quiet",
            (
                f"no sign of life for {duration(silent)}; the watch takes it up within a minute or so. If it does "
                "not, the Trainer's log and dead letters say why"
            ),
        )
    if run.get("usd"):
        yield "cost of it", f"${run['usd']:.6f}, estimated"
    if run.get("estimate"):
        expected = run["estimate"]
        yield "expected on AWS", f"{duration(expected['seconds'])} and ${expected['usd']:.6f}, before it began"


def _disturbances(run: Run) -> str:
    sums = disturbances(run)
    parts = []
    if sums["takeovers"]:
        times = {1: "once", 2: "twice"}.get(sums["takeovers"], f"{sums['takeovers']} times")
        parts.append(f"taken over {times}, after {duration(sums['silent_seconds'])} in all with nobody at work")
    if sums["repeated_epochs"]:
        counted = "1 epoch" if sums["repeated_epochs"] == 1 else f"{sums['repeated_epochs']} epochs"
        parts.append(f"{counted} trained again from the checkpoint")
    return "; ".join(parts)
