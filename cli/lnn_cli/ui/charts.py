"""How every picture looks: two themes, one style, and no display needed."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cycler import cycler
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import FuncFormatter, NullFormatter

from lnn_cli.ui.errors import CliError

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
WIDTH = 9.0
"""Inches; the text of a page is about as wide."""
DOTS_PER_INCH = 110
LOG_SPAN = 50.0
"""Costs of which the largest is so many times the lowest are easier to read on a logarithmic scale."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colors of a picture. Those of the lines are Okabe and Ito's, which color-blind readers can tell apart."""

    name: str
    background: str
    text: str
    faint: str
    lines: tuple[str, ...]
    shades: str
    """Color map from none to all."""
    signed: str
    """Color map from negative over nothing to positive."""

    @property
    def fault(self) -> str:
        """The color of what went wrong."""
        return self.lines[1]


LIGHT = Theme(
    "light",
    background="#ffffff",
    text="#1f2430",
    faint="#d5d9e0",
    lines=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a87900", "#56b4e9", "#555555"),
    shades="Blues",
    signed="RdBu_r",
)
DARK = Theme(
    "dark",
    background="#15181f",
    text="#e4e7ee",
    faint="#3a404d",
    lines=("#56b4e9", "#ff8c42", "#2fc99a", "#e59cc7", "#e6b422", "#9ad0f5", "#b0b6c2"),
    shades="cividis",
    signed="berlin",
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture that can be drawn in either theme."""

    name: str
    title: str
    about: str
    """What can be read from it, for whoever cannot see it."""
    height: float
    """Inches."""
    draw: Callable[[FigureBase, Theme], None]


def style(theme: Theme) -> Any:
    """Matplotlib's settings for a theme."""
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": theme.faint,
        "axes.facecolor": theme.background,
        "axes.grid": True,
        "axes.labelcolor": theme.text,
        "axes.prop_cycle": cycler(color=theme.lines),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": theme.text,
        "axes.titlesize": 11,
        "figure.facecolor": theme.background,
        "font.size": 10,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "savefig.facecolor": theme.background,
        "svg.hashsalt": "lnn",
        "text.color": theme.text,
        "text.parse_math": False,  # class names are names, with a $ or without
        "xtick.color": theme.text,
        "ytick.color": theme.text,
    }


def render(charts: Sequence[Chart], theme: Theme, suffix: str, heading: str = "") -> bytes:
    """The charts one below the other as one picture: PNG, SVG or PDF. The same charts give the same bytes."""
    # A strip for the heading; a chart's own title is drawn by the chart.
    top = 0.35 + 0.22 * len(heading.splitlines()) if heading else 0.0
    heights = ([top] if heading else []) + [chart.height for chart in charts]
    with rc_context(style(theme)):
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        if heading:
            first, _, rest = heading.partition("\n")
            parts[0].text(0.02, 0.92, first, va="top", fontsize=15, fontweight="bold")
            parts[0].text(0.02, 1 - 0.5 / top, rest, va="top", linespacing=1.5)
        for part, chart in zip(parts[-len(charts) :], charts, strict=True):
            chart.draw(part, theme)
        buffer = io.BytesIO()
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
        figure.savefig(buffer, format=suffix, dpi=DOTS_PER_INCH, metadata=metadata)
    return buffer.getvalue()


def picture_suffix(path: Path) -> str:
    """``png``, ``svg`` or ``pdf``, by the file's name.

    Raises:
        CliError: it ends otherwise.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise CliError(f"{path}: a picture's name must end in {', '.join(PICTURE_SUFFIXES)}")
    return path.suffix.lower().removeprefix(".")


def scale_for_costs(axes: Axes, costs: Sequence[float]) -> None:
    """A logarithmic scale of costs, where the largest is many times the lowest."""
    if min(costs) > 0 and max(costs) / min(costs) > LOG_SPAN:
        axes.set_yscale("log")
        logarithmic(axes.yaxis)


def logarithmic(axis: Axis) -> None:
    """Powers of ten, written out: 0.01 and not 10 to the power of -2."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def without_ticks(axes: Axes) -> None:
    """For a picture among many, where positions say nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
