"""The pictures of a report: each is drawn from findings alone, in either theme."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from lnn.characters import escaped
from lnn.data.axis_order import is_picture
from lnn.models.evaluation import Evaluation, NumbersEvaluation
from lnn.models.model_file import Model
from lnn.runs.attributes import Event
from lnn.runs.record import EpochRow, Run
from lnn_cli.report.findings import Findings
from lnn_cli.ui.charts import Chart, Theme, logarithmic, without_ticks
from lnn_cli.ui.console import number, share
from lnn_cli.ui.scores import text
from lnn_client.evaluations import RunEvaluation
from lnn_client.timeline import Invocation, Timeline

Array = NDArray[Any]

SHOWN_MISTAKES = 24
SHOWN_UNITS = 60
MISTAKES_IN_A_ROW, UNITS_IN_A_ROW = 8, 12
LARGEST_UNIT = 1.4
"""Inches that the weights of a unit take, where there are few."""
MOST_ROWS = 60
"""Of a timeline: with more neurons than that, a row stands for a layer."""
MOST_GENERATIONS = 20
"""With more than that, the lines where they began would hide the invocations."""
SHOWN_TARGETS = 3
WRITTEN_CLASSES = 30
"""With more classes than that, figures in a confusion matrix cannot be read."""
MANY_BARS = 1500
"""More than that are drawn as pixels, or the page would grow to many megabytes."""
LOG_SPAN = 50.0
"""A cost that falls to a fiftieth is easier to read on a logarithmic axis."""

LAUNCH_AND_TRAINER = ("launch", "trainer")


def charts_of(findings: Findings) -> list[Chart]:
    """Every picture that there is data for, in the order of a report."""
    charts = []
    if findings.history:
        charts.append(_curves(findings.history, findings.run))
    if findings.tested is not None and findings.model is not None:
        evaluation = findings.tested.evaluation
        if isinstance(evaluation, NumbersEvaluation):
            charts.append(_predictions(findings.tested, evaluation))
        else:
            charts.append(_confusion(evaluation, findings.model.list_classes))
            if _is_picture(findings.model) and evaluation.mistakes:
                charts.append(_mistakes(findings.tested.X, evaluation, findings.model))
    if findings.model is not None:
        charts.append(_first_layer(findings.model))
        if len(findings.model.parameters) > 1:
            charts.append(_heat_maps([W for W, _ in findings.model.parameters[1:]], 2))
    if findings.timeline is not None and findings.timeline.invocations:
        charts.append(_timeline(findings.timeline, findings.run.events))
    return charts


def _curves(history: Sequence[EpochRow], run: Run) -> Chart:
    kind, shown = ("rmse", "RMSE") if run.is_regression else ("accuracy", "accuracy")

    def draw(figure: FigureBase, theme: Theme) -> None:
        left, right = figure.subplots(1, 2)
        epochs = [row.epoch for row in history]
        costs = [row.cost for row in history]
        marker = "o" if len(history) == 1 else None
        left.plot(epochs, costs, label="training", marker=marker)
        if any(row.validation_cost is not None for row in history):
            for name in ("validation", "test"):
                left.plot(epochs, _values(history, f"{name}_cost"), label=name, marker=marker)
            left.legend()
        if min(costs) > 0 and max(costs) / min(costs) > LOG_SPAN:
            left.set_yscale("log")
            logarithmic(left.yaxis)
        left.set(title="Cost", xlabel="epoch", ylabel="cost")
        _draw_scores(right, theme, history, run)
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))

    last = history[-1]
    about = (
        f"Cost from {history[0].cost:.4g} in epoch {history[0].epoch} to {last.cost:.4g} in epoch "
        f"{last.epoch}; {shown} {text(last, f'train_{kind}')} in training while it went on, "
        f"{text(last, f'test_{kind}')} in the test after it."
    )
    if (base_rate := run.base_rate("test")) is not None:
        about += f" Always the most frequent class is right in {share(base_rate)} of the test examples."
    if (metrics := run.test_metrics) is not None:
        about += f" Recall of the final model: {metrics.recall_in_words}."
    return Chart("curves", f"Cost and {shown}", about, 3.4, draw)


def _draw_scores(axes: Axes, theme: Theme, history: Sequence[EpochRow], run: Run) -> None:
    """Accuracies beside the base rate, or the RMSE of a regression."""
    kind = "rmse" if run.is_regression else "accuracy"
    for split, name in (("train", "training"), ("validation", "validation"), ("test", "test")):
        values = _values(history, f"{split}_{kind}")
        if split != "validation" or not np.isnan(values).all():
            axes.plot([row.epoch for row in history], values, label=name, marker="o" if len(history) == 1 else None)
    if run.is_regression:
        axes.set(title="RMSE", xlabel="epoch", ylabel="root of the mean squared error")
    else:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set(title="Accuracy", xlabel="epoch", ylabel="share of examples that are right")
    if (base_rate := run.base_rate("test")) is not None:
        axes.axhline(base_rate, color=theme.text, linestyle=":", linewidth=1, label="base rate, test")
    axes.legend()


def _values(history: Sequence[EpochRow], name: str) -> list[float]:
    """One figure of every row; NaN where it is not known."""
    return [math.nan if (value := getattr(row, name)) is None else value for row in history]


def _predictions(tested: RunEvaluation, found: NumbersEvaluation) -> Chart:
    """True against predicted numbers, a panel for each of the first targets."""
    shown = found.targets[:SHOWN_TARGETS]

    def draw(figure: FigureBase, theme: Theme) -> None:
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for axes, one, true, predicted in zip(panels, shown, tested.y.T, tested.outputs, strict=False):
            axes.scatter(true, predicted, s=10, alpha=0.6, color=theme.lines[0], rasterized=len(true) > MANY_BARS)
            ends = [float(true.min()), float(true.max())]
            axes.plot(ends, ends, color=theme.text, linestyle=":", linewidth=1)
            axes.set(title=_short(one.target), xlabel="true", ylabel="predicted")

    about = (
        f"{found.examples:,} test examples: RMSE {number(found.rmse)}, MAE {number(found.mae)}, R2 {number(found.r2)}."
    )
    if len(found.targets) > len(shown):
        about += f" The first {len(shown)} of {len(found.targets)} targets are drawn."
    return Chart("predictions", "Predicted and true numbers", f"{about} A dot on the line is right.", 3.6, draw)


def _confusion(found: Evaluation, classes: Sequence[str]) -> Chart:
    counts = np.array(found.confusion, dtype=np.int64)
    written = len(classes) <= WRITTEN_CLASSES

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes, recalls = figure.subplots(1, 2, width_ratios=(3, 2))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        shown = axes.imshow(shares, cmap=theme.shades, vmin=0, vmax=1)
        axes.grid(visible=False)
        axes.set(title="Confusion matrix of the test examples", xlabel="class that the model saw", ylabel="true class")
        recalls.barh(range(len(classes)), np.diag(shares), color=theme.lines[0], height=0.7)
        recalls.set(title="Right, by true class", xlabel="share of the class's test examples", ylabel="true class")
        recalls.set_xlim(0, 1)
        recalls.set_ylim(len(classes) - 0.5, -0.5)
        recalls.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        recalls.grid(axis="y", visible=False)
        if written:
            labels = [_short(name) for name in classes]
            turned = 45 if max(map(len, labels)) > 3 else 0
            axes.set_xticks(range(len(classes)), labels, rotation=turned, ha="right" if turned else "center")
            for axis in (axes, recalls):
                axis.set_yticks(range(len(classes)), labels)
            for row, column in np.argwhere(counts):
                # Readable on either end of the color map.
                dark = sum(shown.cmap(shown.norm(shares[row, column]))[:3]) < 1.5
                axes.text(
                    column,
                    row,
                    str(counts[row, column]),
                    ha="center",
                    va="center",
                    fontsize=10 if len(classes) <= 12 else 7,
                    color="white" if dark else "black",
                )
        else:
            bar = figure.colorbar(shown, ax=axes, format=PercentFormatter(1.0, decimals=0))
            bar.set_label("share of the true class")

    right = int(np.trace(counts))
    about = f"{right:,} of {counts.sum():,} test examples are right. Rows are true classes, columns what the model saw."
    return Chart("confusion", "Confusion matrix", about, 3.0 + 0.12 * min(len(classes), WRITTEN_CLASSES), draw)


def _mistakes(X: Array, found: Evaluation, model: Model) -> Chart:
    mistakes = found.mistakes
    shown = mistakes[:SHOWN_MISTAKES]
    rows = -(-len(shown) // MISTAKES_IN_A_ROW)
    title = f"The {len(shown)} worst of {len(mistakes):,}" if len(mistakes) > len(shown) else f"All {len(mistakes)}"

    def draw(figure: FigureBase, _: Theme) -> None:
        figure.suptitle(f"{title} mistakes in the test: true class, and what the model saw")
        panels = figure.subplots(rows, MISTAKES_IN_A_ROW, squeeze=False).ravel()
        for axes, mistake in zip(panels, shown, strict=False):
            _picture(axes, X[:, mistake.example], model)
            axes.set_title(
                f"{_short(mistake.label, 12)}\n{_short(mistake.predicted, 12)}, {mistake.probability:.0%}", fontsize=8.5
            )
        for axes in panels[len(shown) :]:
            axes.set_axis_off()

    about = f"{title} mistakes of {found.examples:,} test examples; above each its true class, then what the model saw."
    return Chart("mistakes", "Mistakes", about, 0.5 + 1.45 * rows, draw)


def _first_layer(model: Model) -> Chart:
    W = model.parameters[0][0]
    shape = model.image_shape
    if shape is None or not _is_picture(model):
        return replace(_heat_maps([W], 1), name="weights", title="Weights of the first layer")
    shown = min(len(W), SHOWN_UNITS)
    across = min(shown, UNITS_IN_A_ROW)
    down = -(-shown // across)
    colored = len(shape) == 3 and shape[2] == 3
    side = min((8.7 if colored else 7.6) / across, LARGEST_UNIT)
    reading = "gray is no weight, brighter is positive, darker negative" if colored else "its weights as a picture"

    def draw(figure: FigureBase, theme: Theme) -> None:
        of = f" ({shown} of {len(W)})" if shown < len(W) else ""
        axes = figure.subplots()
        axes.set_title(f"What each neuron of layer 1 looks for{of}: {reading}")
        # Each unit by its own largest weight: what it looks for, not how strongly.
        weights = W[:shown] / np.maximum(np.abs(W[:shown]).max(axis=1, keepdims=True), np.finfo(W.dtype).tiny)
        mosaic, places = _mosaic(weights.reshape(-1, *shape[:2], 3 if colored else 1), across)
        if colored:
            seen = ~np.isnan(mosaic[..., :1])
            axes.imshow(np.concatenate([np.where(seen, 0.5 + mosaic / 2, 0), seen], axis=2), interpolation="nearest")
        else:
            drawn = axes.imshow(mosaic[..., 0], cmap=theme.signed, vmin=-1, vmax=1, interpolation="nearest")
            bar = figure.colorbar(drawn, fraction=0.02, pad=0.01, ticks=[-1, 0, 1])
            bar.ax.set_yticklabels(["negative", "0", "positive"])
            bar.outline.set_visible(False)
        for unit, (x, y) in enumerate(places, start=1):
            axes.text(x, y, str(unit), fontsize=8, ha="center", va="bottom")
        axes.set_axis_off()

    about = f"The weights of {shown} of {len(W)} neurons of the first layer, each as a picture of the input's shape."
    return Chart(
        "weights",
        "Weights of the first layer",
        about,
        0.5 + side * down * (_above(shape[0]) + shape[0]) / (_beside(shape[1]) + shape[1]),
        draw,
    )


def _mosaic(pictures: Array, across: int) -> tuple[Array, list[tuple[float, float]]]:
    """Pictures (count, h, w, colors) in rows as one array, NaN between them; and (x, y) of a title above each.

    One picture is drawn ten times as fast as sixty.
    """
    count, h, w, colors = pictures.shape
    above, beside = _above(h), _beside(w)
    down = -(-count // across)
    mosaic = np.full((down * (h + above), across * (w + beside), colors), np.nan)
    places = []
    for index, picture in enumerate(pictures):
        row, column = divmod(index, across)
        top, left = row * (h + above) + above, column * (w + beside)
        mosaic[top : top + h, left : left + w] = picture
        places.append((left + (w - 1) / 2, top - 0.7))
    return mosaic, places


def _above(h: int) -> int:
    """Pixels for a title above a picture of height h."""
    return max(2, round(0.3 * h))


def _beside(w: int) -> int:
    """Pixels between pictures of width w."""
    return max(1, round(0.12 * w))


def _heat_maps(matrices: Sequence[Array], first: int) -> Chart:
    """Weight matrices side by side; ``first`` is the number of the first one's layer."""

    def draw(figure: FigureBase, theme: Theme) -> None:
        widths = [math.sqrt(W.shape[1]) + 3 for W in matrices]
        panels = figure.subplots(1, len(matrices), width_ratios=widths, squeeze=False)[0]
        for layer, (axes, W) in enumerate(zip(panels, matrices, strict=True), start=first):
            largest = float(np.abs(W).max()) or 1.0
            shown = axes.imshow(
                W,
                cmap=theme.signed,
                vmin=-largest,
                vmax=largest,
                aspect="auto",
                interpolation="nearest",
                extent=(0.5, W.shape[1] + 0.5, W.shape[0] + 0.5, 0.5),
            )
            axes.grid(visible=False)
            before = "feature" if layer == 1 else f"neuron of layer {layer - 1}"
            axes.set(title=f"W{layer}", xlabel=before, ylabel=f"neuron of layer {layer}")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
            bar = figure.colorbar(shown, ax=axes)
            bar.outline.set_visible(False)

    shapes = ", ".join(f"W{layer} {W.shape[0]} x {W.shape[1]}" for layer, W in enumerate(matrices, start=first))
    return Chart("later-weights", "Weights of the other layers", f"Weight matrices: {shapes}.", 3.2, draw)


def _timeline(timeline: Timeline, events: Sequence[Event]) -> Chart:
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
        used = set()
        for kind, color in colors.items():
            chosen = [(row, one) for row, one in zip(rows, invocations, strict=True) if _kind(one) == kind]
            if not chosen:
                continue
            used.add(kind)
            # At least so wide that it can be seen.
            thinnest = (max(one.start + one.seconds for one in invocations) - began) / 1500
            bars = axes.barh(
                [place[row] for row, _ in chosen],
                [max(one.seconds, thinnest) for _, one in chosen],
                left=[one.start - began for _, one in chosen],
                color=color,
                height=0.75,
                label=kind,
            )
            for bar in bars:
                bar.set_rasterized(len(invocations) > MANY_BARS)
        _mark_silences(axes, theme, silences)
        _mark_generations(axes, theme, {generation: start - began for generation, start in generations.items()})
        axes.set_yticks(range(len(names)), [_row_label(name) for name in names])
        axes.tick_params(axis="y", labelsize=8 if len(names) > 15 else 10)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="seconds since the first invocation began", ylabel="function")
        title = f"{len(invocations):,} invocations{'' if timeline.complete else ', the first that were logged'}"
        axes.set_title(title, pad=16 if generations else None)
        if silences or generations or used != {"launch", "start"}:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))

    by_role = ", ".join(
        f"{sum(one.role == role for one in invocations):,} of {role.capitalize()}"
        for role in dict.fromkeys(one.role for one in invocations)
    )
    busy = sum(one.seconds for one in invocations)
    failed = sum(one.failed for one in invocations)
    about = f"{len(invocations):,} invocations: {by_role}; {busy:,.1f} s of functions' time; {failed} logged an error."
    if generations:
        about += f" {len(generations) + 1} generations: dotted lines show where each began."
    if silences:
        about += " Shaded: nobody was at work; what was killed before it logged anything is not shown."
    return Chart("timeline", "Timeline", about, 1.3 + 0.17 * max(len(names), 4), draw)


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
    if one.failed:
        return "failed"
    return "launch" if one.role == "launch" else one.state or "start"


def _is_picture(model: Model) -> bool:
    """Whether an example can be shown: gray, or red, green and blue."""
    return model.image_shape is not None and is_picture(model.image_shape)


def _picture(axes: Axes, column: Array, model: Model) -> None:
    """One example, standardized (n,), as the picture that it was."""
    assert model.image_shape is not None  # noqa: S101 - whoever has pictures only
    pixels = column.reshape(model.image_shape)
    if len(model.image_shape) == 3 and model.image_shape[2] == 1:
        pixels = pixels[..., 0]
    if model.value_range is not None:
        low, high = (value / model.scale for value in model.value_range)
    else:  # a file of before the range was kept, whose float pictures may have any
        low, high = (0.0, 1.0) if model.scale != 1 else (float(pixels.min()), float(pixels.max()))
    spread = (pixels - low) / ((high - low) or 1.0)
    axes.imshow(np.clip(spread, 0, 1), cmap="gray", vmin=0, vmax=1)
    without_ticks(axes)


def _short(name: str, length: int = 16) -> str:
    name = escaped(name)
    return name if len(name) <= length else f"{name[: length - 1]}…"
