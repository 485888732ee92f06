"""``lnn runs``: the runs, newest first."""

from typing import Annotated

import typer
from rich.text import Text

from lnn.runs.attributes import public_view
from lnn.runs.record import Run
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui.console import command, note, number, print_json, print_table, share, status
from lnn_client.cloud import Target
from lnn_client.runs import seconds_total, waiting


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
        print_json([public_view(run) for run in found[:limit]])
        return
    if not found:
        note(f"there is no run yet; start one with: {command('lnn train DATASET.h5')}")
        return
    headings = ("run", "status", "strategy", "epochs", "cost", "train", "test", "seconds")
    shown = found[:limit]
    if any(waiting(run) for run in shown):
        rows = ([*_row(run), Text(waiting(run) or "")] for run in shown)
        print_table((*headings, "reason"), rows, right=headings[3:])
    else:
        print_table(headings, (_row(run) for run in shown), right=headings[3:])
    if len(found) > limit:
        note(f"{len(found) - limit} older runs are not shown; --limit shows more")


def _row(run: Run) -> list[str | Text]:
    planned = run.epochs
    spent = seconds_total(run)
    return [
        run.run_id,
        status(run.status),
        run.strategy or "-",
        f"{run.epoch}/{planned}" if planned else "-",
        number(run.final_cost),
        share(run.train_accuracy),
        share(run.test_accuracy),
        "-" if spent is None else f"{spent:.1f}",
    ]
