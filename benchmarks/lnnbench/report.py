"""Samples to medians, to JSON, to a Markdown table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"

PROTOTYPE = {
    "what": "the 2018 prototype (darkreapyre/LNN 1.0): quoted, not measured in this run",
    "on AWS, by its own README": {"seconds_per_epoch": 31.7, "hours_for_2500_epochs": 22},
    "on this emulator and a 2-core machine, warm": {"seconds_per_epoch": [2.9, 3.8]},
}


def summary(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The median of every figure, and how far the samples of the first one lie apart."""
    figures = [name for name, value in samples[0].items() if isinstance(value, int | float)]
    medians = {name: median(sample[name] for sample in samples) for name in figures}
    pace = [sample["ms_per_epoch"] for sample in samples]
    return {"median": medians, "ms_per_epoch_range": [min(pace), max(pace)], "samples": list(samples)}


def write(report: Mapping[str, Any], name: str) -> Path:
    """Stores the report as JSON, with its table beside it; returns the JSON's path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report['date']}-{name}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    path.with_suffix(".md").write_text(markdown(report))
    return path


def markdown(report: Mapping[str, Any]) -> str:
    """The report for people."""
    return "\n".join([*heading(report), "", *table(report), "", *remarks(report), ""])


def heading(report: Mapping[str, Any]) -> Iterable[str]:
    job, machine = report["job"], report["machine"]
    yield f"# {job['network']}, {report['date']}"
    yield ""
    yield (
        f"{job['examples']} examples, full batch, learning rate {job['learning_rate']}, {job['dtype']}; data: "
        f"{job['data']}. {machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, "
        f"numpy {machine['numpy']} with {machine['blas']}. Commit {report['revision']}; load average "
        f"{report['load_average']['before']} before, {report['load_average']['after']} after."
    )


def table(report: Mapping[str, Any]) -> Iterable[str]:
    yield "| way | epochs | ms an epoch, median | range | upload to model, s | invocations |"
    yield "|---|---:|---:|---:|---:|---:|"
    for contender in report["contenders"]:
        median_of, (low, high) = contender["median"], contender["ms_per_epoch_range"]
        repeats = len(contender["samples"])
        cells = [
            f"**{contender['name']}**: {contender['what']}",
            f"{contender['epochs']:,}",
            ms(median_of["ms_per_epoch"]),
            f"{ms(low)} to {ms(high)} ({repeats})" if repeats > 1 else "one run",
            f"{median_of['seconds_total']:.1f}" if "seconds_total" in median_of else "",
            f"{median_of['invocations']:,.0f}" if "invocations" in median_of else "",
        ]
        yield f"| {' | '.join(cells)} |"


def remarks(report: Mapping[str, Any]) -> Iterable[str]:
    for note in report["notes"]:
        yield f"- {note}"
    low, high = PROTOTYPE["on this emulator and a 2-core machine, warm"]["seconds_per_epoch"]  # type: ignore[index]
    yield (
        "- For reference, not measured here: the 2018 prototype took 31.7 s an epoch on AWS by its own README, and "
        f"{low} to {high} s on this emulator where it survived."
    )


def ms(value: float) -> str:
    """Milliseconds with three significant digits or more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
