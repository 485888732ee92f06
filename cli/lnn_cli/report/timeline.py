"""The picture of when which function worked for a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.collections import PolyCollection

from lnn_cli.ui.charts import Chart, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

    from lnn.parameter_server.records import Invocation
    from lnn.runs.attributes import Event
    from lnn_client.timeline import Timeline

MOST_ROWS = 60
"""With more neurons than that, a row stands for a layer."""
MOST_GENERATIONS = 20
"""With more than that, the lines where they began would hide the invocations."""
MANY_BARS = 1500
"""More than that are drawn as pixels, or the page would grow to many megabytes."""
HEIGHT = 0.75
"""Of a row's bars; a way that goes beside another in the same row has a part of it."""
LANES = {"forward": 0, "backward": 1, "update": 2}
"""Forward is above backward, so that neither is painted over the other."""

LAUNCH_AND_TRAINER = ("launch", "trainer")


def timeline_chart(timeline: Timeline, events: Sequence[Event]) -> Chart:
    invocations = timeline.invocations
    rows = _rows_of(invocations)
    names = list(dict.fromkeys(rows))
    names.sort(key=_row_order)
    place = {name: index for index, name in enumerate(names)}
    began = invocations[0].start
    # What a generation that took over tells of the time before it; see lnn.runs.event_log.
    silences = [(one["at"] - began, one["silent_seconds"]) for one in events if "silent_seconds" in one]
    generations = _later_generations(invocations)

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        kinds = {
            "start": theme.lines[2],
            "forward": theme.lines[0],
            "backward": theme.lines[4],
            "update": theme.lines[1],
        }
        colors = {**kinds, "launch": theme.lines[3], "failed": theme.fault}
        used = {_kind(one) for one in invocations}
        whole = max(one.start + one.seconds for one in invocations) - began
        lanes = 1 + max((LANES[one.state] for one in invocations if one.state in LANES), default=0)
        for kind, color in colors.items():
            bars = [
                _bar(one, place[row], one.start - began, whole, lanes)
                for row, one in zip(rows, invocations, strict=True)
                if _kind(one) == kind
            ]
            if bars:
                many = len(invocations) > MANY_BARS
                axes.add_collection(
                    PolyCollection(bars, facecolors=color, linewidth=0, label=kind, rasterized=many), autolim=False
                )
        axes.set_xlim(-whole / 50, whole * 1.02 or 1.0)
        axes.set_ylim(-0.5, len(names) - 0.5)
        _mark_silences(axes, theme, silences)
        _mark_generations(axes, theme, {generation: start - began for generation, start in generations.items()})
        axes.set_yticks(range(len(names)), [_row_label(name) for name in names])
        axes.tick_params(axis="y", labelsize=8 if len(names) > 15 else 10)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="seconds since the first invocation began", ylabel="function")
        axes.set_title(timeline.shown or f"{len(invocations):,} invocations", pad=16 if generations else None)
        if silences or generations or used != {"launch", "start"}:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    about = _about(timeline, len(generations), len(silences))
    return Chart("timeline", "Timeline", about, 1.3 + 0.17 * max(len(names), 4), draw)


def _about(timeline: Timeline, later_generations: int, silences: int) -> str:
    """What the chart shows, in words."""
    invocations = timeline.invocations
    by_role = ", ".join(
        f"{sum(one.role == role for one in invocations):,} of {role.capitalize()}"
        for role in dict.fromkeys(one.role for one in invocations)
    )
    busy = sum(one.seconds for one in invocations)
    failed = sum(one.failed for one in invocations)
    about = f"{len(invocations):,} invocations: {by_role}; {busy:,.1f} s of functions' time; {failed} failed."
    odd = {
        "never arrived and were asked for again": sum(one.missed for one in invocations),
        "came when their step was over": sum(one.late for one in invocations),
        "came to a neuron that had arrived": sum(one.attempt > 1 for one in invocations),
        "were cold starts": sum(bool(one.cold) for one in invocations),
    }
    about += "".join(f" {many:,} {what}." for what, many in odd.items() if many)
    if timeline.shown:
        about = f"Not all are shown: {timeline.shown}. {about}"
    if later_generations:
        about += f" {later_generations + 1} generations: dotted lines show where each began."
    if silences:
        about += " Shaded: nobody was at work; what was killed before it logged anything is not shown."
    return about


def _bar(one: Invocation, row: int, start: float, whole: float, lanes: int) -> list[tuple[float, float]]:
    """The corners of an invocation's bar, which is at least so wide that it can be seen."""
    top, high = row - HEIGHT / 2, HEIGHT
    if one.state in LANES:
        high = HEIGHT / lanes
        top += LANES[one.state] * high
    end = start + max(one.seconds, whole / 1500)
    return [(start, top), (end, top), (end, top + high), (start, top + high)]


Row = tuple[str, int, int]
"""Function, layer and neuron: 0 and -1 where a row stands for more than one."""


def _rows_of(invocations: Sequence[Invocation]) -> list[Row]:
    """The row of each invocation: one for each neuron where there is room, else one for each layer."""
    exact = [_row(one) for one in invocations]
    if len(set(exact)) <= MOST_ROWS:
        return exact
    return [(role, layer, -1) for role, layer, _ in exact]


def _row(one: Invocation) -> Row:
    if one.role in LAUNCH_AND_TRAINER:
        return one.role, 0, -1
    return one.role, one.layer or 0, -1 if one.neuron is None else one.neuron


def _mark_silences(axes: Axes, theme: Theme, silences: Sequence[tuple[float, float]]) -> None:
    for at, seconds in silences:
        axes.axvspan(at - seconds, at, color=theme.fault, alpha=0.25, linewidth=0)
    if silences:
        axes.axvspan(*[silences[0][0]] * 2, color=theme.fault, alpha=0.25, label="nobody at work")


def _mark_generations(axes: Axes, theme: Theme, began: dict[int, float]) -> None:
    label: str | None = "new generation"
    for generation, at in list(began.items())[:MOST_GENERATIONS]:
        axes.axvline(at, color=theme.text, linestyle=":", linewidth=1, label=label)
        above = axes.get_xaxis_transform()
        axes.text(at, 1.01, str(generation), transform=above, fontsize=8, horizontalalignment="center")
        label = None


def _later_generations(invocations: Sequence[Invocation]) -> dict[int, float]:
    """When each generation but the first began, in epoch seconds: after a hand-over, or after somebody died."""
    began: dict[int, float] = {}
    for one in invocations:
        if one.generation is not None and one.generation > 1:
            began.setdefault(one.generation, one.start)
    return dict(sorted(began.items()))


def _row_order(row: Row) -> tuple[int, int, int]:
    role, layer, neuron = row
    return (LAUNCH_AND_TRAINER.index(role) if role in LAUNCH_AND_TRAINER else 2, layer, neuron)


def _row_label(row: Row) -> str:
    role, layer, neuron = row
    if role in LAUNCH_AND_TRAINER:
        return role.capitalize()
    if layer == 0:
        return f"worker {max(neuron, 0) + 1}"
    return f"layer {layer}, all neurons" if neuron < 0 else f"layer {layer}, neuron {neuron}"


def _kind(one: Invocation) -> str:
    if one.failed or one.missed:
        return "failed"
    return "launch" if one.role == "launch" else one.state or "start"
