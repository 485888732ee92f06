"""The chart of a scale benchmark: overhead and efficiency over workers, a column for each size."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from lnnbench.charts import COLORS, plain, save
from lnnbench.scale.cells import DATA, GLOO, RESIDENT, TOGETHER_SECONDS
from lnnbench.scale.report import NAME, bound, in_bytes

Row = Mapping[str, Any]
LINES = {DATA: (COLORS["data"], "^"), RESIDENT: (COLORS["resident"], "s"), GLOO: (COLORS["torch"], "o")}


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Writes the chart into ``folder``; without a row there is none."""
    found = [row for row in rows if "error" not in row and shared(row)]
    sizes = sorted({row["bytes"] for row in found})
    if not sizes:
        return
    figure, panels = plt.subplots(
        2, len(sizes), figsize=(2.7 * len(sizes) + 1, 6), sharex=True, sharey="row", layout="constrained", squeeze=False
    )
    for (above, below), size in zip(panels.T, sizes, strict=True):
        of_size = [row for row in found if row["bytes"] == size]
        for way in LINES:
            line(above, below, way, sorted((r for r in of_size if r["way"] == way), key=lambda r: int(r["workers"])))
        above.set(xscale="log", yscale="log", title=in_bytes(size))
        above.set_xticks(sorted({row["workers"] for row in found}))
        below.set(xlabel="workers", ylim=(0, 1))
        plain(above.xaxis)
        plain(above.yaxis, minor=False)
        below.tick_params(axis="x", labelrotation=60, labelsize=8)
    panels[0][0].set_ylabel("overhead of a step, ms (log scale)")
    panels[1][0].set_ylabel(f"efficiency, {1000 * TOGETHER_SECONDS:g} ms of work in all")
    for axes, name in ((panels[0][0], "lnn estimate, a processor for each function"),):
        axes.plot([], [], color="black", linestyle="--", linewidth=1.1, label=name)
        axes.plot([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="bound by processors")
    named = {
        label: handle for axes in panels[0] for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=len(named))
    figure.suptitle("Exchanges of a step behind an emulated network, by bytes of the gradient")
    save(figure, folder / f"{NAME}.png")


def line(above: Axes, below: Axes, way: str, rows: Sequence[Row]) -> None:
    """One way: measured solid, hollow where this machine's processors bind it; estimated dashed."""
    if not rows:
        return
    color, marker = LINES[way]
    workers = [row["workers"] for row in rows]
    for axes, figure in ((above, "overhead_ms"), (below, "efficiency")):
        values = [max(row[figure], 1e-3) for row in rows]
        axes.plot(workers, values, color=color, label=way)
        for row, value in zip(rows, values, strict=True):
            face = "white" if bound(row) else color
            axes.plot([row["workers"]], [value], color=color, marker=marker, markerfacecolor=face)
    if "estimate_ms" in rows[0]:
        estimates = [row["estimate_ms"] for row in rows]
        above.plot(workers, estimates, color=color, linestyle="--", linewidth=1.1)
        shares = [row["wait_ms"] / (row["wait_ms"] + row["estimate_ms"]) for row in rows]
        below.plot(workers, shares, color=color, linestyle="--", linewidth=1.1)


def shared(row: Row) -> bool:
    """Whether the row's workers share the work of a step; others are in the table alone."""
    return math.isclose(row["wait_ms"] * row["workers"], 1000 * TOGETHER_SECONDS)
