"""Samples taken in rounds through all ways, so that a busy moment of the machine affects all of them alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lnnbench.cloud import BenchmarkError
from lnnbench.machine import await_quiet
from lnnbench.ways import Way

Samples = list[dict[str, Any]]


def rounds(ways: Sequence[Way], repeats: int, scratch: Path, patience: float) -> list[dict[str, Any]]:
    """``repeats`` samples of each way, taken in turn; a way that fails is reported and left out of later rounds."""
    samples: dict[str, Samples] = {way.name: [] for way in ways}
    errors: dict[str, str] = {}
    for _ in range(repeats):
        for way in ways:
            if way.name in errors:
                continue
            others = await_quiet(patience)
            try:
                measured = way.measure(scratch)
            except BenchmarkError as error:
                errors[way.name] = str(error)
                print(f"  {way.name:<36} failed: {str(error)[-200:]}", flush=True)
                continue
            samples[way.name].append(measured | {"others_before": round(others, 2)})
            print(f"  {way.name:<36}{measured['ms_per_epoch']:12.3f} ms an epoch   (others {others:.0%})", flush=True)
    return [
        {"name": way.name, "what": way.what, "dtype": way.job.dtype, "epochs": way.epochs}
        | (summary(samples[way.name]) if samples[way.name] else {})
        | ({"error": errors[way.name]} if way.name in errors else {})
        for way in ways
    ]


def summary(samples: Samples) -> dict[str, Any]:
    """The median of every figure, and the range of an epoch's time."""
    figures = [name for name, value in samples[0].items() if isinstance(value, int | float)]
    medians = {name: median(sample[name] for sample in samples) for name in figures}
    pace = [sample["ms_per_epoch"] for sample in samples]
    return {"median": medians, "ms_per_epoch_range": [min(pace), max(pace)], "samples": samples}


def by_name(ways: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """The results of a way; None if it has none."""
    return next((way for way in ways if way["name"] == name and "median" in way), None)


def median_of(ways: Sequence[Mapping[str, Any]], name: str, figure: str) -> float | None:
    """The median of a way's figure; None if there is none."""
    found = by_name(ways, name)
    return None if found is None else found["median"].get(figure)


def ratio(ways: Sequence[Mapping[str, Any]], name: str, base: str, figure: str) -> float | None:
    """The median over rounds of the ratio of one way's figure to another's."""
    one, other = by_name(ways, name), by_name(ways, base)
    if one is None or other is None:
        return None
    pairs = zip(one["samples"], other["samples"], strict=False)
    return float(median(ours[figure] / theirs[figure] for ours, theirs in pairs))
