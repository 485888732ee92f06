"""The report as JSON and as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lnnbench.growth import MIDDLE
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


def write(report: Report, folder: Path) -> Path:
    """Writes the report as JSON, and as Markdown beside it; returns the JSON's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    path.with_suffix(".md").write_text(markdown(report))
    return path


def markdown(report: Report) -> str:
    """The report as Markdown."""
    parts = [heading(report), marks_table(report["marks"])]
    parts += [of(report[section]) for section, of in SECTIONS.items() if section in report]
    parts.append([f"- {section}: {error}" for section, error in report.get("errors", {}).items()])
    return "\n".join(line for part in parts for line in [*part, ""])


def heading(report: Report) -> Iterable[str]:
    machine, floor = report["machine"], report["floor"]
    one, together = floor["gemm_gflops"]["one"], floor["gemm_gflops"]["all"]
    yield f"# Benchmark, {report['date']}"
    yield ""
    yield (
        f"{machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, numpy {machine['numpy']} with "
        f"{machine['blas']}, {machine['others']}. Commit {report['revision']}; load average "
        f"{report['load_average']['before']} before, {report['load_average']['after']} after. Large matrix products: "
        f"{together['float64']:.0f} GFLOP/s in float64 and {together['float32']:.0f} in float32 with all cores, "
        f"{one['float64']:.0f} and {one['float32']:.0f} with one. An exchange with Redis: "
        f"{floor['redis_round_trip_ms']:.3f} ms."
    )


def marks_table(marks: Sequence[Report]) -> Iterable[str]:
    if marks:
        yield "| mark | measured | met |"
        yield "|---|---:|---|"
    for mark in marks:
        measured = "" if mark["measured"] is None else f"{figure(mark['measured'])}{mark['unit']}"
        remark = f" ({mark['remark']})" if mark["remark"] else ""
        met = {True: "yes", False: "**no**", None: "not measured"}[mark["met"]]
        yield f"| {mark['mark']} | {measured}{remark} | {met} |"


def job_section(section: Report) -> Iterable[str]:
    """The results of one job."""
    job = section["job"]
    batch = f"batches of {job['batch_size']}" if job["batch_size"] else "full batch"
    yield f"## {job['network']}, {batch}"
    yield ""
    yield f"{job['examples']:,} examples, learning rate {job['learning_rate']}; data: {job['data']}."
    yield ""
    yield from ways_table(section["ways"], job["examples"])
    yield ""
    for note in section["notes"]:
        yield f"- {note}"


def ways_table(ways: Sequence[Report], examples: int) -> Iterable[str]:
    yield "| way | epochs | ms an epoch, median | range | floor, ms | examples a second | upload to model, s | calls |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for way in ways:
        name = f"**{way['name']}**: {way['what']}"
        if "median" not in way:
            yield f"| {name} | {way['epochs']:,} | failed: {way['error'][:80]} | | | | | |"
            continue
        found, (low, high) = way["median"], way["ms_per_epoch_range"]
        cells = [
            name,
            f"{way['epochs']:,}",
            figure(found["ms_per_epoch"]),
            f"{figure(low)} to {figure(high)} ({len(way['samples'])})",
            figure(way.get("floor_ms")),
            f"{examples / found['ms_per_epoch'] * 1000:,.0f}",
            figure(found.get("seconds_total")),
            f"{found['invocations']:,.0f}" if "invocations" in found else "",
        ]
        yield f"| {' | '.join(cells)} |"


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
    yield "## Peak memory"
    yield ""
    yield f"The same job with `data`, 2 workers, {section['epochs']} epochs, cold, and with twice the examples."
    yield ""
    yield "| examples | " + " | ".join(f"{name.title()}, MB" for name in section["runs"][0]["peak_mb"]) + " |"
    yield "|---:|" + "---:|" * len(section["runs"][0]["peak_mb"])
    for run in section["runs"]:
        yield f"| {run['examples']:,} | " + " | ".join(figure(peak) for peak in run["peak_mb"].values()) + " |"


def cold_section(section: Report) -> Iterable[str]:
    yield "## Cold starts"
    yield ""
    yield (
        "From the first call to the handler, with the layer unpacked, and with the emulator's part. Imports are by "
        "`-X importtime`, each package without its own imports. A function's name stands for its handler."
    )
    yield ""
    yield "| function | first call, ms, median | range | imports, ms | modules | largest, ms |"
    yield "|---|---:|---:|---:|---:|---|"
    for name, found in section.items():
        samples, imports = found["cold_ms_samples"], found["imports"]
        largest = ", ".join(f"{package} {spent:.0f}" for package, spent in imports["largest_ms"].items())
        yield (
            f"| {name} | {figure(found['cold_ms'])} | {figure(min(samples))} to {figure(max(samples))} | "
            f"{figure(imports['total_ms'])} | {imports['modules']} | {largest} |"
        )


def growth_section(section: Report) -> Iterable[str]:
    yield "## Growth"
    yield ""
    yield (
        f"Full batch, float64; {MIDDLE['examples']:,} examples, {MIDDLE['features']:,} features and {MIDDLE['units']} "
        "neurons unless the row says otherwise. Milliseconds an epoch, with its share of the work before the first."
    )
    yield ""
    names = list(dict.fromkeys(row["way"] for row in section["sizes"]))
    yield "| | " + " | ".join(names) + " | floor |"
    yield "|---|" + "---:|" * (len(names) + 1)
    points: dict[tuple[str, int], dict[str, Any]] = {}
    for row in section["sizes"]:
        point = points.setdefault((row["axis"], row["value"]), {"floor": row["floor_ms"]})
        point[row["way"]] = row.get("ms_per_epoch")
    for (axis, value), point in points.items():
        cells = [figure(point.get(name)) for name in [*names, "floor"]]
        yield f"| {value:,} {'neurons' if axis == 'units' else axis} | " + " | ".join(cells) + " |"
    yield ""
    yield "| strategy | round trip to Redis, ms | workers | ms an epoch | estimated, ms | floor, ms |"
    yield "|---|---:|---:|---:|---:|---:|"
    for row in sorted(section["workers"], key=lambda row: (row["strategy"], row["round_trip_ms"], row["workers"])):
        cells = [row["strategy"], f"{row['round_trip_ms']:.2f}", str(row["workers"])]
        cells += [figure(row.get(name)) for name in ("ms_per_epoch", "estimated_ms", "floor_ms")]
        yield f"| {' | '.join(cells)} |"


def estimate_section(section: Report) -> Iterable[str]:
    yield "## Estimated and measured"
    yield ""
    yield "`lnn estimate --calibrate` for the local cloud, and the medians above."
    yield ""
    yield "| job | way | epochs | estimated, s | measured, s | factor |"
    yield "|---|---|---:|---:|---:|---:|"
    for row in section["rows"]:
        estimated, measured = figure(row["estimated_seconds"]), figure(row["measured_seconds"])
        yield (f"| {row['job']} | {row['way']} | {row['epochs']:,} | {estimated} | {measured} | {row['factor']:.2f} |")


def kernels_section(section: Report) -> Iterable[str]:
    yield "## The same bits on any host"
    yield ""
    yield "`fused` with the code that every host can run, and with the code that this processor would choose."
    yield ""
    yield "| job | same code, ms an epoch | own code, ms an epoch | ratio |"
    yield "|---|---:|---:|---:|"
    for row in section["rows"]:
        yield f"| {row['job']} | {figure(row['same_ms'])} | {figure(row['own_ms'])} | {row['ratio']:.2f} |"


SECTIONS = {
    "cat": cat_section,
    "batches": job_section,
    "kernels": kernels_section,
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
