"""``lnn runs``: the runs, newest first."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from lnn.runs.attributes import public_view
from lnn.runs.record import Run
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import command, note, number, print_json, print_table, status
from lnn_cli.ui.scores import base_rate, in_short, lowest_recall
from lnn_client.cloud import Target
from lnn_client.runs import beside_accuracy, seconds_total, waiting


def runs(
    name: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only runs with this in their name, in either case.")
    ] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only runs with this tag; repeat for more.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most so many, the newest.")] = 20,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """List the runs, newest first, with cost, scores and seconds.

    The score is the accuracy, and of regression R2.

    Example: lnn runs --limit 5
    """
    every = connect(target, prefix, region).ledger.list_runs()
    found = [run for run in every if _matches(run, name, tags or [])]
    if as_json:
        print_json([{**public_view(run), **beside_accuracy(run)} for run in found[:limit]])
        return
    if every and not found:
        note(f"none of the {len(every)} runs has that name and these tags")
        return
    if not found:
        note(f"there is no run yet; start one with: {command('lnn train DATASET.h5')}")
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
    rows = ([*_row(run), *map(Text, texts)] for run, *texts in zip(shown, *more.values(), strict=True))
    print_table((*headings, *more), rows, right=headings[3:])
    if len(found) > limit:
        note(f"{len(found) - limit} older runs are not shown; --limit shows more")


def _matches(run: Run, name: str | None, tags: Sequence[str]) -> bool:
    """Whether a run has the text in its name, and all of the tags."""
    named = name is None or name.casefold() in (run.name or "").casefold()
    return named and set(tags) <= set(run.tags)


def _known(text: str) -> str:
    return "" if text == "-" else text


def _row(run: Run) -> list[str | Text]:
    planned = run.epochs
    spent = seconds_total(run)
    return [
        run.run_id,
        status(run.status),
        run.strategy or "-",
        f"{run.epoch}/{planned}" if planned else "-",
        number(run.final_cost),
        in_short(run, "train"),
        in_short(run, "test"),
        "-" if spent is None else f"{spent:.1f}",
    ]
