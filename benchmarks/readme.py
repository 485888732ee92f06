#!/usr/bin/env python3
"""Writes the figures of benchmarks/results/bench.json into the README, between its two benchmark comments."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lnnbench.report import EMULATED, NAME, PROTOTYPE, RESULTS, figure, table

README = Path(__file__).resolve().parents[1] / "README.md"
PLACE = re.compile(r"(<!-- benchmark -->\n).*?(<!-- /benchmark -->)", re.DOTALL)


def main() -> int:
    report = json.loads((RESULTS / f"{NAME}.json").read_text())
    text, places = PLACE.subn(lambda found: found[1] + "\n".join(lines(report)) + "\n" + found[2], README.read_text())
    if places != 1:
        print(f"readme: found {places} places for the benchmark in README.md; expected 1", file=sys.stderr)
        return 1
    README.write_text(text)
    return 0


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    machine, cat, batches = report["machine"], report["cat"], report["batches"]
    yield (
        f"Measured in one run of `make bench` on {report['date']}, on {machine['cores']} cores of {machine['cpu']}, "
        f"Python {machine['python']}, through the whole local cloud with warm functions; medians of "
        f"{len(cat['ways'][0]['samples'])} rounds in turn ([all figures](benchmarks/results/{NAME}.md), with cold "
        "starts, memory, growth and what the marks are).\n"
    )
    yield from ways(cat, "The 2018 prototype's own job, {examples} pictures of 64x64x3, {network}, full batch")
    low, high = (f"{seconds * 1000:,.0f}" for seconds in PROTOTYPE[EMULATED]["seconds_per_epoch"])
    yield f"| for reference, not measured in this run: the prototype on the same emulator | {low} to {high} | |\n"
    yield "![Milliseconds an epoch, by way](benchmarks/results/cat.png)\n"
    yield from ways(batches, "{examples:,} examples, {network}, batches of {batch_size}")
    yield "\n![How an epoch grows with examples, features and neurons](benchmarks/results/growth.png)"


def ways(section: Mapping[str, Any], caption: str) -> Iterable[str]:
    """The ways to train a job, the fastest first."""
    measured = [way for way in section["ways"] if "median" in way]
    return table(
        (caption.format(**section["job"]), "ms an epoch, median (range):", "from upload to model:"),
        map(cells, sorted(measured, key=lambda way: float(way["median"]["ms_per_epoch"]))),
    )


def cells(way: Mapping[str, Any]) -> Sequence[str]:
    found, (low, high) = way["median"], way["ms_per_epoch_range"]
    total = f"{found['seconds_total']:.1f} s for {way['epochs']:,} epochs" if "seconds_total" in found else ""
    return title(way), f"{figure(found['ms_per_epoch'])} ({figure(low)} to {figure(high)})", total


def title(way: Mapping[str, Any]) -> str:
    """The name of a way: a strategy as code, a program in words."""
    if "seconds_total" not in way["median"]:
        return f"{way['what']}; {way['name'].split(', ', 1)[1]}" + (
            ", with accuracies" if "with" in way["name"] else ""
        )
    strategy, rest = way["name"].split(", ", 1)
    return f"`{strategy}`, {rest}"


if __name__ == "__main__":
    sys.exit(main())
