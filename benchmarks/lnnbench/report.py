"""The report as JSON and as Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lnnbench.growth import MIDDLE
from lnnbench.marks import percent_bounds
from lnnbench.samples import median_of

RESULTS = Path(__file__).resolve().parents[1] / "results"
NAME = "bench"

EMULATED = "on this emulator and a 2-core machine, warm"
PROTOTYPE: Mapping[str, Any] = {
    "what": "the 2018 prototype (darkreapyre/LNN 1.0): quoted, not measured in this run",
    "on AWS, by its own README": {"seconds_per_epoch": 31.7, "hours_for_2500_epochs": 22},
    EMULATED: {"seconds_per_epoch": [2.9, 3.8]},
}

Report = Mapping[str, Any]


def write(report: Report, folder: Path) -> None:
    """Writes the report as JSON, and as Markdown beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    path.with_suffix(".md").write_text(markdown(report))


def markdown(report: Report) -> str:
    """The report as Markdown."""
    parts = [heading(report), marks_table(report["marks"])]
    parts += [of(report[section]) for section, of in SECTIONS.items() if section in report]
    parts.append([f"- {section}: {error}" for section, error in report.get("errors", {}).items()])
    return "\n".join(line for part in parts for line in [*part, ""])


def heading(report: Report) -> Iterable[str]:
    machine, floor = report["machine"], report["floor"]
    one, together = floor["gemm_gflops"]["one"], floor["gemm_gflops"]["all"]
    yield f"# Benchmark, {report['date']}\n"
    yield (
        f"{machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, numpy {machine['numpy']} with "
        f"{machine['blas']}, {machine['others']}. Commit {report['revision']}; load average "
        f"{report['load_average']['before']} before, {report['load_average']['after']} after. Large matrix products: "
        f"{together['float64']:.0f} GFLOP/s in float64 and {together['float32']:.0f} in float32 with all cores, "
        f"{one['float64']:.0f} and {one['float32']:.0f} with one. An exchange with Redis: "
        f"{floor['redis_round_trip_ms']:.3f} ms."
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """A Markdown table; a heading that ends in a colon aligns its column to the right."""
    yield f"| {' | '.join(heading.removesuffix(':') for heading in headings)} |".replace("|  |", "| |")
    yield "|" + "".join("---:|" if heading.endswith(":") else "---|" for heading in headings)
    for cells in rows:
        yield f"| {' | '.join(cells)} |"


def marks_table(marks: Sequence[Report]) -> Iterable[str]:
    return table(("mark", "measured:", "met"), map(mark_cells, marks)) if marks else ()


def mark_cells(mark: Report) -> Sequence[str]:
    measured = "" if mark["measured"] is None else f"{figure(mark['measured'])}{mark['unit']}"
    remark = f" ({mark['remark']})" if mark["remark"] else ""
    return mark["mark"], measured + remark, {True: "yes", False: "**no**", None: "not measured"}[mark["met"]]


def job_section(section: Report) -> Iterable[str]:
    """The results of one job."""
    job = section["job"]
    batch = f"batches of {job['batch_size']}" if job["batch_size"] else "full batch"
    yield f"## {job['network']}, {batch}\n"
    yield f"{job['examples']:,} examples, learning rate {job['learning_rate']}; data: {job['data']}.\n"
    figures = (
        "epochs",
        "ms an epoch, median",
        "range",
        "floor, ms",
        "examples a second",
        "upload to model, s",
        "calls",
    )
    ways = (way_cells(way, job["examples"]) for way in section["ways"])
    yield from table(("way", *(f"{name}:" for name in figures)), ways)
    yield ""
    for note in section["notes"]:
        yield f"- {note}"


def way_cells(way: Report, examples: int) -> Sequence[str]:
    name = f"**{way['name']}**: {way['what']}"
    if "median" not in way:
        return name, f"{way['epochs']:,}", f"failed: {way['error'][:80]}", "", "", "", "", ""
    found, (low, high) = way["median"], way["ms_per_epoch_range"]
    return (
        name,
        f"{way['epochs']:,}",
        figure(found["ms_per_epoch"]),
        f"{figure(low)} to {figure(high)} ({len(way['samples'])})",
        figure(way.get("floor_ms")),
        f"{examples / found['ms_per_epoch'] * 1000:,.0f}",
        figure(found.get("seconds_total")),
        f"{found['invocations']:,.0f}" if "invocations" in found else "",
    )


def cat_section(section: Report) -> Iterable[str]:
    yield from job_section(section)
    busy, calls = (
        median_of(section["ways"], "neuron, float64", name) for name in ("emulator_ms_per_epoch", "invocations")
    )
    if busy is not None and calls is not None:
        yield (
            f"- `neuron`: {figure(busy)} ms of an epoch are the emulator's own work, which it does on one thread at a "
            f"time for all calls ({calls:,.0f} in the whole run)."
        )
    low, high = PROTOTYPE[EMULATED]["seconds_per_epoch"]
    yield (
        "- For reference, not measured here: an epoch of the 2018 prototype took 31.7 s on AWS, by its own README, and "
        f"{low} to {high} s on this emulator, when it did not crash."
    )


def memory_section(section: Report) -> Iterable[str]:
    yield "## Peak memory\n"
    yield f"The same job with `data`, 2 workers, {section['epochs']} epochs, cold, and with twice the examples.\n"
    runs = section["runs"]
    yield from table(
        ("examples:", *(f"{name.title()}, MB:" for name in runs[0]["peak_mb"])),
        ((f"{run['examples']:,}", *map(figure, run["peak_mb"].values())) for run in runs),
    )


def cold_section(section: Report) -> Iterable[str]:
    yield "## Cold starts\n"
    yield (
        "From the first call to the handler, with the layer unpacked, and with the emulator's part. Imports are by "
        "`-X importtime`, each package without its own imports. A function's name stands for its handler.\n"
    )
    headings = ("function", "first call, ms, median:", "range:", "imports, ms:", "modules:", "largest, ms")
    yield from table(headings, (cold_cells(name, found) for name, found in section.items()))


def cold_cells(name: str, found: Report) -> Sequence[str]:
    samples, imports = found["cold_ms_samples"], found["imports"]
    return (
        name,
        figure(found["cold_ms"]),
        f"{figure(min(samples))} to {figure(max(samples))}",
        figure(imports["total_ms"]),
        str(imports["modules"]),
        ", ".join(f"{package} {spent:.0f}" for package, spent in imports["largest_ms"].items()),
    )


def growth_section(section: Report) -> Iterable[str]:
    yield "## Growth\n"
    yield (
        f"Full batch, float64; {MIDDLE['examples']:,} examples, {MIDDLE['features']:,} features and {MIDDLE['units']} "
        "neurons unless the row says otherwise. Milliseconds an epoch, with its share of the work before the first.\n"
    )
    names = list(dict.fromkeys(row["way"] for row in section["sizes"]))
    points: dict[tuple[str, int], dict[str, Any]] = {}
    for row in section["sizes"]:
        point = points.setdefault((row["axis"], row["value"]), {"floor": row["floor_ms"]})
        point[row["way"]] = row.get("ms_per_epoch")
    yield from table(
        ("", *(f"{name}:" for name in [*names, "floor"])),
        (
            (f"{value:,} {'neurons' if axis == 'units' else axis}", *(figure(point.get(n)) for n in [*names, "floor"]))
            for (axis, value), point in points.items()
        ),
    )
    yield ""
    figures = {"ms_per_epoch": "ms an epoch:", "estimated_ms": "estimated, ms:", "floor_ms": "floor, ms:"}
    rows = sorted(section["workers"], key=lambda row: (row["strategy"], row["round_trip_ms"], row["workers"]))
    yield from table(
        ("strategy", "round trip to Redis, ms:", "workers:", *figures.values()),
        (
            (r["strategy"], f"{r['round_trip_ms']:.2f}", str(r["workers"]), *(figure(r.get(name)) for name in figures))
            for r in rows
        ),
    )


def estimate_section(section: Report) -> Iterable[str]:
    yield "## Estimated and measured\n"
    yield "`lnn estimate --calibrate` for the local cloud, and the medians above.\n"
    headings = ("job", "way", "epochs:", "estimated, s:", "measured, s:", "factor:")
    yield from table(headings, map(estimate_cells, section["rows"]))


def estimate_cells(row: Report) -> Sequence[str]:
    estimated, measured = figure(row["estimated_seconds"]), figure(row["measured_seconds"])
    return row["job"], row["way"], f"{row['epochs']:,}", estimated, measured, f"{row['factor']:.2f}"


def kernels_section(section: Report) -> Iterable[str]:
    yield "## The same bits on any host\n"
    yield "`fused` with the code that every host can run, and with the code that this processor would choose.\n"
    yield from table(
        ("job", "same code, ms an epoch:", "own code, ms an epoch:", "ratio:"),
        ((row["job"], figure(row["same_ms"]), figure(row["own_ms"]), f"{row['ratio']:.2f}") for row in section["rows"]),
    )


def snapshots_section(section: Report) -> Iterable[str]:
    yield "## What it costs that a run can be looked at\n"
    yield (
        "The median epoch of the same training with `snapshots` 60, the default, and 0, in turn: with 0 a run of "
        f"`neuron` does not record its invocations. {section['rounds']} rounds; the overhead is the median of their "
        "ratios, with the bounds that hold it with 95% confidence.\n"
    )
    settings = list(section["rows"][0]["ms"])
    headings = [f"`snapshots` {setting}, ms an epoch:" for setting in settings]
    yield from table(
        ("job", "strategy", "epochs:", *headings, "overhead:", "bounds:"),
        (snapshots_cells(row) for row in section["rows"]),
    )


def snapshots_cells(row: Report) -> Sequence[str]:
    paces = (figure(pace) for pace in row["ms"].values())
    overhead = f"{row['overhead_percent']:+.1f}%"
    return row["job"], row["strategy"], f"{row['epochs']:,}", *paces, overhead, percent_bounds(row)


def neighbors_section(section: Report) -> Iterable[str]:
    yield "## Busy neighbors\n"
    yield f"{section['way']}, batches of 512, beside {section['processes']} processes that compute without end.\n"
    yield from table(
        ("quiet, ms an epoch:", "busy, ms an epoch:", "ratio:"),
        [(figure(section["quiet"]), figure(section["busy"]), f"{section['busy'] / section['quiet']:.2f}")],
    )


SECTIONS = {
    "cat": cat_section,
    "batches": job_section,
    "table": job_section,
    "kernels": kernels_section,
    "snapshots": snapshots_section,
    "neighbors": neighbors_section,
    "memory": memory_section,
    "cold": cold_section,
    "growth": growth_section,
    "estimate": estimate_section,
}


def figure(value: float | None) -> str:
    """Three significant digits, or an integer from 100 on; empty for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
