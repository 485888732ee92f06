"""Rows of features as charts: the balance of the classes, a histogram of each column, and two columns as points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lnn.data.dataset import feature_shards, load_labels, load_preprocessing
from lnn_cli.ui.charts import WIDTH, Chart, Theme
from lnn_cli.ui.console import number

if TYPE_CHECKING:
    from matplotlib.figure import FigureBase

    from lnn.data.dataset import DatasetSummary
    from lnn.data.preprocessing import Preprocessing

MOST_ROWS = 20_000
"""Examples that are read: the first of the part."""
MOST_COLUMNS = 24
"""Columns that get a histogram."""
MOST_CLASSES = 7
"""Classes that have a color of their own."""
MOST_BARS = 12
BINS = 20
PANEL_COLUMNS = 4
PANEL_HEIGHT = 2.1
"""Inches."""


@dataclass(frozen=True, slots=True)
class Values:
    """A column of the table, or a feature."""

    name: str
    kind: str
    """As in ``lnn.data.preprocessing``."""
    values: NDArray[Any]
    """(m,): raw numbers, booleans, or categories as texts."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Examples of a part, with raw values, and their labels."""

    columns: list[Values]
    y: NDArray[Any]
    """Class indices (m,), or the first number to predict (m,)."""
    total: int
    """Examples of the part; ``y`` may have fewer."""


def read_rows(file: Path, summary: DatasetSummary, split: str) -> Rows:
    """The first ``MOST_ROWS`` examples, as the table had them where the dataset says how."""
    y = load_labels(file, f"{split}_set_y")
    first = next(iter(feature_shards(file, f"{split}_set_x", summary.features, min(MOST_ROWS, len(y))))).copy()
    preprocessing = load_preprocessing(file) if summary.columns else None
    if preprocessing is None:
        columns = [Values(f"x{place}", "number", first[:, place]) for place in range(summary.features)]
    else:
        columns = _raw(preprocessing, first)
    labels = y if summary.classes else y.reshape(len(y), -1)[:, 0]
    return Rows(columns, labels[: len(first)], len(y))


def _raw(preprocessing: Preprocessing, x: NDArray[Any]) -> list[Values]:
    """The columns of stored features x (m, n)."""
    found = []
    at = 0
    for column in preprocessing.columns:
        part = x[:, at : at + column.width]
        if column.kind == "category":
            values: NDArray[Any] = np.array(column.categories)[part.argmax(axis=1)]
        elif column.kind == "boolean":
            values = part[:, 0] > 0.5
        else:
            values = part[:, 0].astype(np.float64) * column.scale + column.mean
        found.append(Values(column.name, column.kind, values))
        at += column.width
    return found


def summary_rows(rows: Rows) -> list[list[str]]:
    """Of each column its name, kind, least, mean, deviation and largest value; or how often which value is there."""
    told = []
    for column in rows.columns:
        if column.kind == "number":
            values = column.values.astype(np.float64)
            figures = (values.min(), values.mean(), values.std(), values.max())
            told.append([column.name, column.kind, *(number(float(figure)) for figure in figures), ""])
            continue
        names, counts = np.unique(column.values.astype(str), return_counts=True)
        often = np.argsort(-counts, kind="stable")[:3]
        shares = ", ".join(f"{names[place]} {counts[place] / counts.sum():.0%}" for place in often)
        more = f", {len(names) - 3} more" if len(names) > 3 else ""
        told.append([column.name, column.kind, "", "", "", "", shares + more])
    return told


def charts(title: str, summary: DatasetSummary, rows: Rows) -> list[Chart]:
    """The balance of the classes, or the numbers to predict; each column; and two numbers as points."""
    found = [_labels(title, summary, rows), _histograms(summary, rows)]
    numbers = [column for column in rows.columns if column.kind == "number"]
    if len(rows.columns) == len(numbers) == 2:
        found.append(_points(summary, rows, numbers))
    return found


def _labels(title: str, summary: DatasetSummary, rows: Rows) -> Chart:
    if not summary.classes:
        name = summary.targets[0]

        def histogram(figure: FigureBase, _: Theme) -> None:
            axes = figure.subplots()
            axes.hist(rows.y.astype(np.float64), bins=BINS)
            axes.set(title=f"{title}: {name}, the number to predict", xlabel=name[:40], ylabel="examples")

        low, high = number(float(rows.y.min())), number(float(rows.y.max()))
        return Chart("labels", title, f"{name}: from {low} to {high}", 2.6, histogram)
    counts = np.bincount(rows.y, minlength=len(summary.classes))
    shown = min(len(summary.classes), MOST_BARS)

    def bars(figure: FigureBase, _: Theme) -> None:
        axes = figure.subplots()
        axes.barh([name[:24] for name in summary.classes[:shown]], counts[:shown])
        axes.invert_yaxis()
        axes.set(title=f"{title}: examples of each class", xlabel="examples")

    named = ", ".join(f"{name} {count}" for name, count in zip(summary.classes[:shown], counts.tolist(), strict=False))
    more = f" and {len(summary.classes) - shown} more classes" if shown < len(summary.classes) else ""
    return Chart("labels", title, f"examples by class: {named}{more}", 1.0 + 0.3 * shown, bars)


def _histograms(summary: DatasetSummary, rows: Rows) -> Chart:
    """A histogram of each column, in the colors of the classes where these are few."""
    shown = rows.columns[:MOST_COLUMNS]
    lines = math.ceil(len(shown) / PANEL_COLUMNS)
    groups = _groups(summary, rows)

    def draw(figure: FigureBase, _: Theme) -> None:
        panels = figure.subplots(lines, PANEL_COLUMNS, squeeze=False).ravel()
        for axes, column in zip(panels, shown, strict=False):
            _histogram(axes, column, [chosen for _, chosen in groups])
            axes.set_title(column.name[:28], fontsize=9)
            axes.tick_params(labelsize=7)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        if len(groups) > 1:
            figure.legend([name[:24] for name, _ in groups], loc="outside lower center", ncols=4, fontsize=8)

    more = f", {len(rows.columns) - len(shown)} more are not shown" if len(shown) < len(rows.columns) else ""
    about = f"histograms of {len(shown)} columns{more}"
    return Chart("columns", "columns", about, 0.5 + PANEL_HEIGHT * lines, draw)


def _histogram(axes: Any, column: Values, groups: Sequence[NDArray[np.bool_]]) -> None:
    if column.kind == "number":
        parts = [column.values[chosen].astype(np.float64) for chosen in groups]
        axes.hist(parts, bins=BINS, stacked=True)
        return
    texts = column.values.astype(str)
    names, counts = np.unique(texts, return_counts=True)
    names = names[np.argsort(-counts, kind="stable")][:MOST_BARS]
    below = np.zeros(len(names))
    for chosen in groups:
        heights = np.array([int((texts[chosen] == name).sum()) for name in names])
        axes.bar([name[:10] for name in names.tolist()], heights, bottom=below)
        below += heights
    axes.tick_params(axis="x", labelrotation=45)


def _groups(summary: DatasetSummary, rows: Rows) -> list[tuple[str, NDArray[np.bool_]]]:
    """The examples by class, or all together where there are no or many classes."""
    if 0 < len(summary.classes) <= MOST_CLASSES:
        return [(name, rows.y == index) for index, name in enumerate(summary.classes)]
    return [("all", np.ones(len(rows.y), np.bool_))]


def _points(summary: DatasetSummary, rows: Rows, columns: Sequence[Values]) -> Chart:
    first, second = columns

    def draw(figure: FigureBase, theme: Theme) -> None:
        axes = figure.subplots()
        if summary.classes:
            for name, chosen in _groups(summary, rows):
                axes.scatter(first.values[chosen], second.values[chosen], s=9, label=name[:24])
            axes.legend()
        else:
            colors = axes.scatter(first.values, second.values, s=9, c=rows.y.astype(np.float64), cmap=theme.shades)
            figure.colorbar(colors, label=summary.targets[0][:40])
        axes.set(title="examples", xlabel=first.name[:40], ylabel=second.name[:40])

    return Chart("points", "points", f"{first.name} and {second.name} of each example", 0.6 * WIDTH, draw)
