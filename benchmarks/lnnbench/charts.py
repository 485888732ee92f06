"""Charts of a report, as PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from lnnbench.growth import MIDDLE

mpl.use("Agg")
mpl.rcParams.update(
    {
        "figure.dpi": 120,
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.25,
        "legend.frameon": False,
    }
)

# Okabe and Ito's colors, which color-blind readers can distinguish.
COLORS = {
    "auto": "#D55E00",
    "fused": "#D55E00",
    "resident": "#0072B2",
    "data": "#009E73",
    "neuron": "#CC79A7",
    "numpy": "#555555",
    "torch": "#999999",
    "sklearn": "#BBBBBB",
    "floor": "#000000",
}
JOBS = {"cat": ("cat job", "o"), "batches": ("batches of 512", "D"), "table": ("3,000,000 rows", "s")}
"""A label and a marker for each."""
MARKERS = {"fused": "o", "resident": "s", "data": "^", "numpy": "x"}
ALLOWED_FACTOR = 1.5

Rows = Sequence[Mapping[str, Any]]


def draw(report: Mapping[str, Any], folder: Path) -> None:
    if "cat" in report:
        save(cat(report["cat"]), folder / "cat.png")
    if "growth" in report:
        save(growth(report["growth"]["sizes"]), folder / "growth.png")
        save(workers(report["growth"]["workers"]), folder / "workers.png")
    if report.get("estimate", {}).get("rows"):
        save(estimate(report["estimate"]["rows"]), folder / "estimate.png")


def cat(section: Mapping[str, Any]) -> Figure:
    """Bars of an epoch's milliseconds in the cat job, the fastest at the top, with a line at the floor."""
    ways = sorted(
        (way for way in section["ways"] if "median" in way and "with accuracies" not in way["name"]),
        key=lambda way: -float(way["median"]["ms_per_epoch"]),
    )
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(ways) + 1.3), layout="constrained")
    low = min([way["median"]["ms_per_epoch"] for way in ways] + [way.get("floor_ms", 1e9) for way in ways])
    for place, way in enumerate(ways):
        middle, (least, most) = way["median"]["ms_per_epoch"], way["ms_per_epoch_range"]
        axes.barh(place, middle, color=color(way["name"]), height=0.7)
        axes.plot([least, most], [place, place], color="black", linewidth=1)
        axes.annotate(
            f"{middle:,.3g}" if middle < 100 else f"{middle:,.0f}", (most, place), (4, -3.5), textcoords="offset points"
        )
        if way.get("floor_ms"):
            for shade, width in (("white", 3), ("black", 1.4)):
                axes.plot([way["floor_ms"]] * 2, [place - 0.35, place + 0.35], color=shade, linewidth=width)
    axes.plot([], [], color="black", linewidth=1.4, label="floor: matrix products and round trips at full rate")
    figure.legend(loc="outside lower center")
    axes.set_yticks(range(len(ways)), [label(way) for way in ways])
    axes.grid(axis="y", visible=False)
    axes.set(
        title=f"{section['job']['network']}, {section['job']['examples']} examples, full batch",
        xlabel="milliseconds an epoch (log scale), median; thin line: range",
        xscale="log",
        xlim=(low / 2, 4 * max(way["ms_per_epoch_range"][1] for way in ways)),
    )
    plain(axes.xaxis)
    return figure


def growth(rows: Rows) -> Figure:
    """A panel for each axis: milliseconds of an epoch, a line for each way."""
    names = list(dict.fromkeys(row["way"] for row in rows))
    axes_names = list(dict.fromkeys(row["axis"] for row in rows))
    figure, panels = plt.subplots(
        1, len(axes_names), figsize=(4 * len(axes_names), 4), sharey=True, layout="constrained"
    )
    for panel, axis in zip(panels, axes_names, strict=True):
        of_axis = [row for row in rows if row["axis"] == axis]
        for name in names:
            line(panel, [row for row in of_axis if row["way"] == name], "value", name)
        floor = sorted({(row["value"], row["floor_ms"]) for row in of_axis})
        panel.plot(*zip(*floor, strict=True), color=COLORS["floor"], linestyle=":", label="floor, plain formulation")
        panel.set_xscale("log", base=2)
        panel.set(yscale="log", xlabel="neurons of layer 1" if axis == "units" else axis)
        panel.set_xticks(sorted({row["value"] for row in of_axis}))
        plain(panel.xaxis)
        plain(panel.yaxis, minor=False)
        others = ", ".join(f"{value:,} {name}" for name, value in MIDDLE.items() if name != axis)
        panel.set_title(f"with {others}", fontsize=9)
    panels[0].set_ylabel("milliseconds an epoch (log scale)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.suptitle("An epoch's time: full batch, float64")
    return figure


def workers(rows: Rows) -> Figure:
    """A panel for each strategy: an epoch's time over workers, a line for each round trip, with estimate and floor."""
    strategies = list(dict.fromkeys(row["strategy"] for row in rows))
    trips = sorted({round(row["round_trip_ms"], 3) for row in rows})
    figure, panels = plt.subplots(1, len(strategies), figsize=(9, 4), sharey=True, layout="constrained")
    shades = plt.get_cmap("viridis")([0.15 + 0.6 * place / max(1, len(trips) - 1) for place in range(len(trips))])
    for panel, strategy in zip(panels, strategies, strict=True):
        for trip, shade in zip(trips, shades, strict=True):
            of_trip = [r for r in rows if r["strategy"] == strategy and round(r["round_trip_ms"], 3) == trip]
            found = sorted((row["workers"], row["ms_per_epoch"]) for row in of_trip if "ms_per_epoch" in row)
            if found:
                panel.plot(*zip(*found, strict=True), color=shade, marker="o", label=f"round trip {trip:.2g} ms")
            for name, style in (("estimated_ms", "--"), ("floor_ms", ":")):
                expected = sorted((row["workers"], row[name]) for row in of_trip if name in row)
                if expected:
                    panel.plot(*zip(*expected, strict=True), color=shade, linestyle=style, linewidth=1.2)
        panel.set(title=strategy, xlabel="workers", xticks=sorted({row["workers"] for row in rows}))
    panels[0].set_ylabel("milliseconds an epoch")
    if any("estimated_ms" in row for row in rows):
        panels[0].plot([], [], color="gray", linestyle="--", linewidth=1.2, label="estimated by the cost model")
    panels[0].plot([], [], color="gray", linestyle=":", linewidth=1.2, label="floor")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    panels[0].set_ylim(bottom=0)
    size = f"{MIDDLE['examples']:,} x {MIDDLE['features']:,}, {MIDDLE['units']} neurons"
    figure.suptitle(f"Workers, and the distance to Redis: {size}, full batch, float64")
    return figure


def estimate(rows: Rows) -> Figure:
    """Estimated over measured seconds, with a band of the allowed factor."""
    figure, axes = plt.subplots(figsize=(6.5, 5), layout="constrained")
    seconds = [row[name] for row in rows for name in ("estimated_seconds", "measured_seconds")]
    ends = [min(seconds) / 2, max(seconds) * 2]
    lower, upper = [end / ALLOWED_FACTOR for end in ends], [end * ALLOWED_FACTOR for end in ends]
    axes.fill_between(ends, lower, upper, color="#0072B2", alpha=0.12, label=f"within a factor of {ALLOWED_FACTOR}")
    axes.plot(ends, ends, color="black", linewidth=0.8)
    for name in dict.fromkeys((row["job"], row["way"].split(",")[0]) for row in rows):
        job, way = name
        of_name = [row for row in rows if (row["job"], row["way"].split(",")[0]) == name]
        axes.scatter(
            [row["measured_seconds"] for row in of_name],
            [row["estimated_seconds"] for row in of_name],
            color=color(way),
            marker=JOBS[job][1],
            edgecolor="black",
            linewidth=0.5,
            zorder=3,
            label=f"{way}, {JOBS[job][0]}",
        )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="measured seconds of training", ylabel="estimated seconds of training")
    axes.set_title("lnn estimate --calibrate against the local cloud")
    plain(axes.xaxis)
    plain(axes.yaxis)
    axes.legend(loc="upper left", fontsize=8)
    return figure


def line(panel: Axes, rows: Rows, across: str, name: str) -> None:
    """Draws one way's points, without those that failed."""
    points = sorted((row[across], row["ms_per_epoch"]) for row in rows if "ms_per_epoch" in row)
    if points:
        kind = name.partition(",")[0]
        panel.plot(*zip(*points, strict=True), color=color(name), marker=MARKERS[kind], label=name)


def color(name: str) -> str:
    """A way's color, by the first word of its name."""
    return COLORS[name.replace(",", " ").split()[0]]


def label(way: Mapping[str, Any]) -> str:
    if "seconds_total" in way["median"]:
        return f"LNN {way['name']}"
    return (
        str(way["name"]).replace("torch", "PyTorch").replace("sklearn", "scikit-learn").replace("numpy", "numpy loop")
    )


def plain(axis: Any, *, minor: bool = True) -> None:
    """Writes ticks as plain numbers, not as powers."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())
    if minor:
        axis.set_minor_locator(NullLocator())


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
