"""``lnn compare``: runs side by side."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnn.runs.record import EpochRow, Run
from lnn_cli.options import ForceOption, JsonOption, PrefixOption, RegionOption, TargetOption, connect
from lnn_cli.ui import scores
from lnn_cli.ui.completion import run_ids
from lnn_cli.ui.console import duration, note, number, output, print_json, print_table, share, tell_warnings
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_cli.ui.sparkline import BLOCKS, PLAIN, sparkline
from lnn_client.cloud import Target
from lnn_client.runs import ms_per_epoch, result, seconds_total

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from lnn_cli.ui.charts import Chart, Theme

_CURVE_WIDTH = 16
_TOLD_ANYWAY = frozenset({"strategy", "workers", "layers", "neurons"})
"""The strategy has a row of its own, and the network says how many layers of how many neurons."""
_FEW_EPOCHS = 10
_MOST_RUNS = 7
"""In a picture: there are no more colors that can be told apart."""


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN...", help="Run ids, starts of ids, or `latest`.", autocompletion=run_ids),
    ],
    picture: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Draw the curves, too: .png, .svg or .pdf."),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Put runs side by side: what differs, and what came of them.

    Times are in seconds and milliseconds, costs in US dollars.

    Example: lnn compare 20261121T0301 latest -o compare.png
    """
    if len(runs) < 2:
        raise CliError("one run cannot be compared; name two or more: lnn compare RUN RUN")
    suffix = _suffix(picture, len(runs), force=force)
    cloud = connect(target, prefix, region)
    found = list({run.run_id: run for run in (cloud.find_run(wanted) for wanted in runs)}.values())
    if len(found) < 2:
        raise CliError(f"these are all the same run, {found[0].run_id}; name two or more")
    histories = [cloud.ledger.history(run.run_id) for run in found]
    differing = _differing_settings(found)
    if as_json:
        print_json(
            [
                {**result(run), "usd": run.usd, "settings": {key: _setting(run, key) for key in differing}}
                for run in found
            ]
        )
    else:
        _print(found, histories, differing)
    if picture is not None:
        from lnn_cli.ui.charts import LIGHT, render

        note(write_whole(picture, render(_charts(found, histories), LIGHT, suffix)))


def _suffix(picture: Path | None, runs: int, *, force: bool) -> str:
    if picture is None:
        return ""
    from lnn_cli.ui.charts import picture_suffix

    refuse_to_replace(picture, force=force)
    if runs > _MOST_RUNS:
        raise CliError(f"{runs} runs are too many for one picture; name {_MOST_RUNS} at most, or leave out --output")
    return picture_suffix(picture)


def _print(runs: list[Run], histories: list[list[EpochRow]], differing: list[str]) -> None:
    """A column for each run, so that any number of settings has room; what is alike is not said."""
    steps = PLAIN if output().options.ascii_only else BLOCKS
    curves = [sparkline([row.cost for row in history], _CURVE_WIDTH, steps) for history in histories]
    names = dict.fromkeys(name for run in runs for name in run.score_names)
    rows = [
        ("status", *(run.status for run in runs)),
        ("strategy", *map(_strategy, runs)),
        *((key, *(_words(_setting(run, key)) for run in runs)) for key in differing),
        ("epochs done", *(f"{run.epoch:,}" for run in runs)),
        ("final cost", *(number(run.final_cost) for run in runs)),
        ("cost by epoch", *curves),
        *((scores.label(name), *(scores.text(run, name) for run in runs)) for name in names),
        *_beside_accuracy(runs),
        ("upload to model", *(duration(seconds_total(run)) for run in runs)),
        ("ms an epoch", *(number(ms_per_epoch(run)) for run in runs)),
        ("US dollars", *("-" if run.usd is None else f"{run.usd:.6f}" for run in runs)),
        ("invocations", *(f"{run.use['invocations']:,}" for run in runs)),
    ]
    print_table(("", *(run.run_id for run in runs)), rows)
    tell_warnings(f"{run.run_id}: {remark}" for run in runs for remark in run.remarks)


def _beside_accuracy(runs: list[Run]) -> list[tuple[str, ...]]:
    """What the accuracies are to be read with; nothing where no run has it."""
    if all(run.test_metrics is None for run in runs):
        return []
    found = [run.test_metrics for run in runs]
    return [
        ("base rate", *(scores.base_rate(run, "test") for run in runs)),
        ("balanced accuracy", *("-" if one is None else f"{one.balanced_accuracy:.1%}" for one in found)),
        ("recall", *("-" if one is None else one.recall_in_words for one in found)),
    ]


def _strategy(run: Run) -> str:
    workers = run.workers or 1
    return f"{run.strategy or '-'}{f', {workers} workers' if workers > 1 else ''}"


def _differing_settings(runs: list[Run]) -> list[str]:
    """Names of the settings and dimensions that are not alike, in the settings' own order."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    keys = ["examples", "network", *(name for name in names if name not in _TOLD_ANYWAY)]
    return [key for key in keys if any(_setting(one, key) != _setting(two, key) for one, two in pairwise(runs))]


def _setting(run: Run, key: str) -> Any:
    if key == "examples":
        return run.dimensions["examples"] if run.dimensions else None
    if key == "network":
        return run.network or None
    return run.settings.get(key)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(map(str, value.values()))
    return "-" if value is None else str(value)


def _charts(runs: list[Run], histories: list[list[EpochRow]]) -> list[Chart]:
    """Cost and a test score, over epochs and over seconds: more epochs are no more work if they are faster.

    The score is the accuracy, R2 of regressions alone; in a mixed company a regression has no curve of it.
    """
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    from lnn_cli.ui.charts import Chart

    regressions = all(run.is_regression for run in runs)
    score = "test_r2" if regressions else "test_accuracy"
    shown = scores.label(score)
    headed = shown[0].upper() + shown[1:]
    # Runs of one dataset have one base rate, and so one line. The table has their recall.
    rates = sorted({rate for run in runs if (rate := run.base_rate("test")) is not None})

    def draw(figure: FigureBase, theme: Theme) -> None:
        panels = figure.subplots(2, 2, sharey="row")
        for run, history, color in zip(runs, histories, theme.lines, strict=False):
            epochs = [row.epoch for row in history]
            seconds = list(accumulate(row.seconds for row in history))
            label = f"{run.run_id} ({_strategy(run)})"
            for row, name in enumerate(("cost", score)):
                values = [math.nan if (value := getattr(entry, name)) is None else value for entry in history]
                marker = "o" if len(values) <= _FEW_EPOCHS else None
                panels[row, 0].plot(epochs, values, color=color, label=label, marker=marker)
                panels[row, 1].plot(seconds, values, color=color, marker=marker)
        handles, labels = panels[0, 0].get_legend_handles_labels()
        for rate in rates:
            line, _ = (axes.axhline(rate, color=theme.text, linestyle=":", linewidth=1) for axes in panels[1])
            handles.append(line)
            labels.append(f"base rate {share(rate)}")
        for axes, title, below in zip(
            panels.ravel(),
            ("Cost by epoch", "Cost by time", f"{headed} by epoch", f"{headed} by time"),
            ("epoch", "seconds of recorded epochs") * 2,
            strict=True,
        ):
            axes.set(title=title, xlabel=below)
        for axes in panels[:, 0]:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        panels[0, 0].set_ylabel("cost")
        panels[1, 0].set_ylabel("R2" if regressions else "share that is right")
        if not regressions:
            panels[1, 0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        figure.legend(handles, labels, loc="outside lower center")

    names = ", ".join(run.run_id for run in runs)
    return [
        Chart(
            "compare", "Runs side by side", f"Cost and {shown} of {names}.", 6.2 + 0.2 * (len(runs) + len(rates)), draw
        )
    ]
