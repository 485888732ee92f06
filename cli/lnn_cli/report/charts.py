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

from lnn.data.axis_order import is_picture
from lnn.models.evaluation import Evaluation, NumbersEvaluation
from lnn.models.model_file import Model
from lnn.runs.record import EpochRow, Run
from lnn.text.characters import escaped
from lnn_cli.report.findings import Findings
from lnn_cli.report.timeline import MANY_BARS, timeline_chart
from lnn_cli.ui.charts import Chart, Theme, scale_for_costs, without_ticks
from lnn_cli.ui.console import number, share
from lnn_cli.ui.scores import text
from lnn_client.evaluations import RunEvaluation

Array = NDArray[Any]

SHOWN_MISTAKES = 24
SHOWN_UNITS = 60
MISTAKES_IN_A_ROW, UNITS_IN_A_ROW = 8, 12
LARGEST_UNIT = 1.4
"""Inches that the weights of a unit take, where there are few."""
SHOWN_TARGETS = 3
WRITTEN_CLASSES = 30
"""With more classes than that, figures in a confusion matrix cannot be read."""


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
        charts.append(timeline_chart(findings.timeline, findings.run.events))
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
        scale_for_costs(left, costs)
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
