"""``lnn runs``: the runs, newest first."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from lnn.runs.record import EpochRow, Run
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import command, note, number, print_json, print_table, status
from lnn_cli.ui.scores import base_rate, in_short, lowest_recall
from lnn_cli.ui.standing import cost_by_now, newest_row
from lnn_client.cloud import Target
from lnn_client.run_queries import conditions, in_order, value_of
from lnn_client.runs import as_shown, seconds_total, waiting


def runs(
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only runs with this in their name, in either case.")
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only runs with this tag; repeat for more.")
    ] = None,
    where: Annotated[str | None, typer.Option(metavar="CONDITIONS", help="As status=COMPLETED,epochs>=20.")] = None,
    sort: Annotated[str | None, typer.Option(metavar="NAME", help="By a figure or a setting, the best first.")] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Show these figures and settings alone: learning_rate,l2.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most so many, the newest.")] = 20,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """List the runs, newest first, with cost, scores and seconds.

    The score is the accuracy, and of regression R2; while a run goes on,
    cost and scores are those of its newest epoch.

    Example: lnn runs --where status=COMPLETED --sort test_accuracy
    """
    ledger = connect(target, prefix, region).ledger
    every = ledger.list_runs()
    wanted = conditions(where) if where is not None else []
    found = [run for run in every if _matches(run, name, tags or []) and all(one.holds(run) for one in wanted)]
    if sort is not None:
        found = in_order(found, sort)
    if as_json:
        print_json([as_shown(run) for run in found[:limit]])
        return
    if every and not found:
        note(f"none of the {len(every)} runs is such a one")
        return
    if not found:
        note(f"there is no run yet; start one with: {command('lnn train DATASET.h5')}")
        return
    if columns is not None:
        _print_columns(found[:limit], columns.split(","))
        return
    headings = ("run", "status", "strategy", "epochs", "cost", "train", "test", "seconds")
    shown = found[:limit]
    more = {
        heading: texts
        for heading, texts in (
            ("base rate", [_known(base_rate(run, "test")) for run in shown]),
            ("lowest recall", [_known(lowest_recall(run)) for run in shown]),
            ("name", [run.name or "" for run in shown]),
            ("tags", [", ".join(run.tags) for run in shown]),
            ("reason", [waiting(run) or "" for run in shown]),
        )
        if any(texts)
    }
    rows = (_row(run, newest_row(ledger, run)) for run in shown)
    cells = ([*row, *map(Text, texts)] for row, *texts in zip(rows, *more.values(), strict=True))
    print_table((*headings, *more), cells, right=headings[3:])
    if len(found) > limit:
        note(f"{len(found) - limit} older runs are not shown; --limit shows more")


def _print_columns(shown: Sequence[Run], names: Sequence[str]) -> None:
    """Runs with what they have under some names: a heading is the name, a cell the value as short as it goes."""
    rows = [[run.run_id, *(_cell(value_of(run, name.strip())) for name in names)] for run in shown]
    print_table(("run", *names), rows)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return number(value)
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _matches(run: Run, name: str | None, tags: Sequence[str]) -> bool:
    """Whether a run has the text in its name, and all of the tags."""
    named = name is None or name.casefold() in (run.name or "").casefold()
    return named and set(tags) <= set(run.tags)


def _known(text: str) -> str:
    return "" if text == "-" else text


def _row(run: Run, newest: EpochRow | None) -> list[str | Text]:
    planned = run.epochs
    spent = seconds_total(run)
    return [
        run.run_id,
        status(run.status),
        run.strategy or "-",
        f"{run.epoch}/{planned}" if planned else "-",
        number(cost_by_now(run, newest)),
        in_short(newest or run, "train"),
        in_short(newest or run, "test"),
        "-" if spent is None else f"{spent:.1f}",
    ]
