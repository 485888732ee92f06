#!/usr/bin/env python3
"""Writes the figures of benchmarks/results/bench.json into two pages, between their two benchmark comments.

The README has a short table, a row for each strategy and for programs beside them; docs/strategies.md has all ways.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lnnbench.report import EMULATED, NAME, PROTOTYPE, RESULTS, figure, table

REPOSITORY = Path(__file__).resolve().parents[1]
PLACE = re.compile(r"(<!-- benchmark -->\n).*?(<!-- /benchmark -->)", re.DOTALL)

Report = Mapping[str, Any]

ROWS: Sequence[tuple[str, str, str, str]] = (
    ("auto, float64", "`fused`", "one function, all of it", "speed, price"),
    ("resident, 2 workers, float64", "`resident`", "workers share the first layer", "wide layers"),
    ("data, 2 workers, float64", "`data`", "workers share the examples", "much data"),
    ("neuron, float64", "`neuron`", "an invocation for each neuron", "watching"),
    ("numpy, float64", "numpy", "a plain loop, one process", "comparison"),
    ("torch, float64", "PyTorch", "on the CPU, one process", "comparison"),
)
"""Ways of the prototype's job by name; what the README calls each, how it works and what it is for."""


def main() -> int:
    report = json.loads((RESULTS / f"{NAME}.json").read_text())
    for page, lines in PAGES.items():
        path = REPOSITORY / page
        text, places = written(path.read_text(), lines(report))
        if places != 1:
            print(f"readme: found {places} places for the benchmark in {page}; expected 1", file=sys.stderr)
            return 1
        path.write_text(text)
    return 0


def written(text: str, lines: Iterable[str]) -> tuple[str, int]:
    """A page with these lines in its places, and how many places there are."""
    content = "\n".join(lines) + "\n"
    return PLACE.subn(lambda found: found[1] + content + found[2], text)


def in_short(report: Report) -> Iterator[str]:
    """For the README: the prototype's job alone, a row for each way that ROWS names."""
    machine, cat = report["machine"], report["cat"]
    ways = {way["name"]: way for way in cat["ways"] if "median" in way}
    yield from table(
        ("way", "how", "for", "ms an epoch:", "upload to model:"),
        [
            (name, how, use, figure(ways[way]["median"]["ms_per_epoch"]), total(ways[way]))
            for way, name, how, use in ROWS
            if way in ways
        ],
    )
    low, high = prototype()
    yield (
        f"\nThe job is a 2018 prototype's, which took {low} to {high} ms an epoch on this emulator: "
        f"{cat['job']['examples']} pictures of 64x64x3, {cat['job']['network']}, float64. With fewer examples than "
        "features, `fused` trains in [example space](docs/example-space.md), on far fewer numbers. Medians of "
        f"{len(cat['ways'][0]['samples'])}, 2 workers, local cloud, {machine['cores']} cores, {report['date']} "
        "([all figures](docs/strategies.md#measured))."
    )


def in_full(report: Report) -> Iterator[str]:
    """For docs/strategies.md: all jobs, all ways, with ranges and charts."""
    machine, cat, batches = report["machine"], report["cat"], report["batches"]
    yield (
        f"Measured in one run of `make bench` on {report['date']}, on {machine['cores']} cores of {machine['cpu']}, "
        f"Python {machine['python']}, through the whole local cloud with warm functions; medians of "
        f"{len(cat['ways'][0]['samples'])} rounds in turn ([all figures](../benchmarks/results/{NAME}.md), with cold "
        "starts, memory, growth and what the marks are).\n"
    )
    yield from ways(cat, "The 2018 prototype's own job, {examples} pictures of 64x64x3, {network}, full batch")
    low, high = prototype()
    yield f"| for reference, not measured in this run: the prototype on the same emulator | {low} to {high} | |\n"
    yield "![Milliseconds an epoch, by way](../benchmarks/results/cat.png)\n"
    yield from ways(batches, "{examples:,} examples, {network}, batches of {batch_size}")
    if "table" in report:
        yield ""
        yield from ways(report["table"], "{examples:,} rows of 28 numbers, {network}, batches of {batch_size}")
    if "kernels" in report:
        cost = {row["job"].split(",")[0]: row["ratio"] for row in report["kernels"]["rows"]}
        yield (
            "\nFunctions run code that all of Lambda's hosts have, so that a run has [the same bits on any of them]"
            f"(adr/20261129-same-bits-on-any-host.md); the other programs use all that this processor has. On it that "
            f"costs `fused` a factor of {cost['cat']:.2f} on the prototype's job, and {cost['batches']:.2f} on batches."
        )
    yield "\n![How an epoch grows with examples, features and neurons](../benchmarks/results/growth.png)"


PAGES = {"README.md": in_short, "docs/strategies.md": in_full}


def prototype() -> Sequence[str]:
    """The least and the most milliseconds that an epoch of the prototype took on the emulator."""
    return [f"{seconds * 1000:,.0f}" for seconds in PROTOTYPE[EMULATED]["seconds_per_epoch"]]


def ways(section: Report, caption: str) -> Iterable[str]:
    """The ways to train a job, the fastest first."""
    measured = [way for way in section["ways"] if "median" in way]
    return table(
        (caption.format(**section["job"]), "ms an epoch, median (range):", "from upload to model:"),
        map(cells, sorted(measured, key=lambda way: float(way["median"]["ms_per_epoch"]))),
    )


def cells(way: Report) -> Sequence[str]:
    found, (low, high) = way["median"], way["ms_per_epoch_range"]
    return title(way), f"{figure(found['ms_per_epoch'])} ({figure(low)} to {figure(high)})", total(way)


def total(way: Report) -> str:
    """Seconds from upload to model, with the epochs of that training; empty for a program without an upload."""
    found = way["median"]
    return f"{found['seconds_total']:.1f} s for {way['epochs']:,} epochs" if "seconds_total" in found else ""


def title(way: Report) -> str:
    """The name of a way: a strategy as code, a program in words."""
    if "seconds_total" not in way["median"]:
        name, dtype = way["name"].split(", ", 1)
        _, _, addition = name.partition(" with ")
        return f"{way['what']}; {dtype}" + (f", with {addition}" if addition else "")
    strategy, rest = way["name"].split(", ", 1)
    return f"`{strategy}`, {rest}"


if __name__ == "__main__":
    sys.exit(main())
