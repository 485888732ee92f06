"""``lnn runs``, ``show``, ``history`` and ``watch``: what runs did and are doing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.text import Text

from lnn.runs.event_log import disturbances
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, RunArgument, TargetOption
from lnn_cli.ui.console import (
    duration,
    moment,
    note,
    number,
    print_json,
    print_pairs,
    print_table,
    share,
    status,
)
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import Target, command, connect
from lnn_client.runs import Run, failure, find_run, ms_per_epoch, outcome, seconds_total, seconds_training

QUIET_SECONDS = 60.0
"""Without a sign of life: longer than a lease and an epoch in which nobody reports."""

_INTERNAL = frozenset(
    {
        "owner",
        "heartbeat",
        "lease_expires",
        "closing",
        "dataset_key",
        "plan",
        "attempts",
        "stop_requested",
        "told",
        "told_use",
        "watched",
    }
)


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most so many, the newest.")] = 20,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """List the runs, newest first, with cost, accuracies and seconds.

    Example: lnn runs --limit 5
    """
    found = connect(target, prefix, region).ledger.list_runs()
    if as_json:
        print_json([_public(run) for run in found[:limit]])
        return
    if not found:
        note(f"there is no run yet; start one with: {command('lnn train DATASET.h5')}")
        return
    headings = ("run", "status", "strategy", "epochs", "cost", "train", "test", "seconds")
    print_table(headings, (_row(run) for run in found[:limit]), right=headings[3:])
    if len(found) > limit:
        note(f"{len(found) - limit} older runs are not shown; --limit shows more")


def show(
    run: RunArgument,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Show all about one run: figures, settings, events, model.

    Times are in seconds (an epoch's in ms), costs in US dollars;
    accuracies are in percent, with --json shares of 1.

    Example: lnn show latest
    """
    found = find_run(connect(target, prefix, region).ledger, run)
    if as_json:
        print_json(_public(found))
        return
    print_pairs(facts(found))
    _print_settings(found)
    _print_events(found)


def history(
    run: RunArgument,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Print cost and accuracy of each recorded epoch.

    Accuracies are in percent, with --json shares of 1;
    ms are the milliseconds that an epoch took.

    Example: lnn history latest --json > history.json
    """
    ledger = connect(target, prefix, region).ledger
    found = find_run(ledger, run)
    rows = ledger.history(found["run_id"])
    columns = ("epoch", "cost", "train_accuracy", "test_accuracy")
    if as_json:
        print_json([{name: row.get(name) for name in columns} for row in rows])
        return
    if not rows:
        note(f"run {found['run_id']} ({found['status']}) has no epoch recorded yet")
        return
    headings = ("epoch", "cost", "train", "test", "ms")
    print_table(headings, (_history_row(row) for row in rows), right=headings)


def watch(
    run: RunArgument = "latest",
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
    hand-overs and faults. In a pipe: a line at every change, and now and then.
    The exit status is 0 only if the run completes.

    Example: lnn watch latest
    """
    from lnn_cli.ui.progress import watch_run

    ledger = connect(target, prefix, region).ledger
    run_id = find_run(ledger, run)["run_id"]
    try:
        ended = watch_run(ledger, run_id, timeout=timeout)
    except KeyboardInterrupt:
        note(f"no longer watching; run {run_id} goes on, until: {command(f'lnn stop {run_id}')}")
        raise
    if ended["status"] != "COMPLETED":
        raise CliError(failure(ended))
    typer.echo(outcome(ended))


def _public(run: Run) -> Run:
    """The run without what only the functions need to know."""
    return {name: value for name, value in run.items() if name not in _INTERNAL}


def _row(run: Run) -> list[str | Text]:
    planned = run.get("epochs")
    spent = seconds_total(run)
    return [
        run["run_id"],
        status(run["status"]),
        run.get("strategy") or "-",
        f"{run.get('epoch', 0)}/{planned}" if planned else "-",
        number(run.get("final_cost")),
        share(run.get("train_accuracy")),
        share(run.get("test_accuracy")),
        "-" if spent is None else f"{spent:.1f}",
    ]


def _history_row(row: dict[str, Any]) -> list[str]:
    seconds = row.get("seconds")
    return [
        str(row["epoch"]),
        number(row.get("cost"), 6),
        share(row.get("train_accuracy")),
        share(row.get("test_accuracy")),
        "-" if seconds is None else number(seconds * 1000, 3),
    ]


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


def _print_settings(run: Run) -> None:
    settings = run.get("settings")
    if isinstance(settings, dict) and settings:
        typer.echo("\nsettings")
        print_pairs((f"  {name}", _setting(value)) for name, value in settings.items())


def _setting(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    return "-" if value is None else str(value)


def _print_events(run: Run) -> None:
    events = run.get("events") or []
    if events:
        typer.echo("\nevents")
        print_pairs((f"  {moment(event.get('at'))}", str(event.get("what"))) for event in events)
