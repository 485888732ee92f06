"""The report of a sweep: its trials, the best so far, and what their cost has to do with each setting."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lnn_cli.report.page import embedded, template, written
from lnn_cli.ui import trials
from lnn_cli.ui.charts import Chart, Theme, logarithmic, render, scale_for_costs
from lnn_cli.ui.console import dollars, number, share, words
from lnn_client.cloud import Target
from lnn_client.sweeps import Sweep, Trial

PANELS_IN_A_ROW, MOST_PANELS = 3, 12
PANEL_HEIGHT = 2.2
LONGEST_VALUE = 14
"""Characters of a value under a panel."""


def html(sweep: Sweep, target: Target) -> str:
    """One page that needs nothing else."""
    return template("sweep.html.j2").render(**_content(sweep, target), pictures=embedded(charts_of(sweep)))


def markdown(sweep: Sweep, target: Target, folder: Path, theme: Theme) -> str:
    """A text whose pictures are written into ``folder``, beside it."""
    pictures = written(charts_of(sweep), folder, theme)
    return template("sweep.md.j2").render(**_content(sweep, target), pictures=pictures)


def picture(sweep: Sweep, target: Target, theme: Theme) -> bytes:
    """All pictures below each other as one PNG, with the figures above."""
    content = _content(sweep, target)
    lines = [f"Sweep {sweep.plan.name}: {content['summary']}", f"best: {content['best'] or 'no trial has a model'}"]
    return render(charts_of(sweep) or [_nothing()], theme, "png", heading="\n".join(lines))


def charts_of(sweep: Sweep) -> list[Chart]:
    """The pictures that there is data for: none before a trial has a value."""
    known = [trial for trial in sweep.trials if trial.value is not None]
    if not known:
        return []
    charts = [_course(known), _slices(sweep, known)]
    if importances := sweep.importances():
        charts.append(_importances(importances))
    return charts


def _course(known: Sequence[Trial]) -> Chart:
    """The cost of each trial in their order, and the best of the complete ones so far."""
    best: list[tuple[int, float]] = []
    for trial in known:
        if trial.state == "complete":
            best.append((trial.number, min([_value(trial)] + [value for _, value in best[-1:]])))

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        _scatter(axes, theme, known, [trial.number for trial in known])
        if best:
            numbers, lowest = zip(*best, strict=True)
            axes.step(numbers, lowest, where="post", color=theme.lines[2], label="best so far")
        axes.set(title="Validation cost of each trial", xlabel="trial", ylabel="validation cost")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        scale_for_costs(axes, [_value(trial) for trial in known])
        axes.legend()

    about = f"{len(known)} trials with a cost"
    if best:
        first, lowest = min(best, key=lambda one: (one[1], one[0]))
        about += f"; the lowest of a complete trial is {number(lowest)}, of trial {first}"
    return Chart("trials", "Trials", f"{about}.", 3.0, draw)


def _slices(sweep: Sweep, known: Sequence[Trial]) -> Chart:
    """The cost over each setting that varies, whatever the others were."""
    shown = list(sweep.plan.space)[:MOST_PANELS]
    columns = min(PANELS_IN_A_ROW, len(shown))
    rows = math.ceil(len(shown) / columns)

    def draw(figure: FigureBase, theme: Theme) -> None:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for axes, key in zip(panels, shown, strict=False):
            _slice(axes, theme, known, key, sweep.plan.space[key])
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        for axes in panels[::columns]:
            axes.set_ylabel("validation cost", fontsize=8)

    hidden = len(sweep.plan.space) - len(shown)
    more = f"; {hidden} more are not shown" if hidden else ""
    about = f"The validation cost of the trials over {', '.join(shown)}{more}."
    return Chart("settings", "Cost and settings", about, 0.4 + PANEL_HEIGHT * rows, draw)


def _slice(axes: Axes, theme: Theme, known: Sequence[Trial], key: str, values: Any) -> None:
    if isinstance(values, list):
        names = [trials.short(value) for value in values]
        places: list[float] = [names.index(trials.short(trial.settings[key])) for trial in known]
        axes.set_xticks(range(len(names)), [name[:LONGEST_VALUE] for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
    else:
        places = [trial.settings[key] for trial in known]
        if values.get("log"):
            axes.set_xscale("log")
            logarithmic(axes.xaxis)
    _scatter(axes, theme, known, places)
    scale_for_costs(axes, [_value(trial) for trial in known])
    axes.set_title(key[:32], fontsize=9)
    axes.tick_params(labelsize=7)


def _importances(importances: dict[str, float]) -> Chart:
    def draw(figure: FigureBase, _: Theme) -> None:
        axes = figure.subplots()
        axes.barh([key[:32] for key in importances], list(importances.values()))
        axes.invert_yaxis()
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set(title="What the cost depends on", xlabel="share")

    told = ", ".join(f"{key} {share(value)}" for key, value in importances.items())
    about = f"How much each setting has to do with the cost (PED-ANOVA): {told}."
    return Chart("importances", "Importances", about, 0.9 + 0.3 * len(importances), draw)


def _scatter(axes: Axes, theme: Theme, known: Sequence[Trial], places: Sequence[float]) -> None:
    """A point for each trial: complete, or ended early."""
    for is_complete, name, marker, color in ((True, "complete", "o", 0), (False, "ended early", "x", 1)):
        chosen = [place for place, trial in enumerate(known) if (trial.state == "complete") is is_complete]
        if chosen:
            at, costs = [places[place] for place in chosen], [_value(known[place]) for place in chosen]
            axes.scatter(at, costs, s=18, marker=marker, color=theme.lines[color], label=name)


def _value(trial: Trial) -> float:
    return float(trial.value or 0.0)


def _nothing() -> Chart:
    def draw(figure: FigureBase, _: Theme) -> None:
        figure.suptitle("no trial has a validation cost yet", wrap=True)

    return Chart("nothing", "Nothing yet", "No trial has a validation cost yet.", 1.5, draw)


def _content(sweep: Sweep, target: Target) -> dict[str, Any]:
    """What both templates show, in words."""
    plan, best = sweep.plan, sweep.best()
    headings, rows = trials.ranked(sweep)
    runs = [run for trial in sweep.trials for run in trial.runs] + ([sweep.refit] if sweep.refit else [])
    counts = Counter(trial.state for trial in sweep.trials)
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    return {
        "name": plan.name,
        "summary": f"{len(sweep.trials)} of {plan.trials} trials begun" + (f": {states}" if states else ""),
        "ended_early": sweep.ended_early,
        "best": trials.best_in_words(sweep),
        "best_settings": [] if best is None else [(key, words(value)) for key, value in best.settings.items()],
        "tiles": [
            ("lowest validation cost", "-" if best is None else trials.cost(best)),
            ("trials", f"{len(sweep.trials)} of {plan.trials}"),
            ("runs", f"{len(runs):,}"),
            ("cost of all on AWS", dollars(sum(run.usd for run in runs))),
        ],
        "headings": headings,
        "rows": rows,
        "run_ids": {str(trial.number): trial.run_id or "" for trial in sweep.trials},
        "plan": [
            ("sampler", plan.sampler),
            ("pruner", plan.pruner),
            ("runs at once", str(plan.parallel)),
            ("folds", words(plan.folds)),
            ("seed", str(plan.seed)),
            *((f"space of {key}", words(values)) for key, values in plan.space.items()),
        ],
        "local": target is Target.LOCAL,
        "version": version("lnn"),
    }
