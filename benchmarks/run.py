#!/usr/bin/env python3
"""Measures LNN beside what one would otherwise use, all in one run, and writes benchmarks/results/. `make bench`.

Samples go round and round through the contenders, so that a busy moment of the machine hits them alike; the figures
are medians.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lnnbench.cloud import BenchmarkError, Cloud, local_cloud
from lnnbench.contenders import Contender, Program, Strategy
from lnnbench.jobs import Job, cat_job
from lnnbench.machine import await_quiet, load_average, machine, revision
from lnnbench.report import PROTOTYPE, markdown, summary, write

CAT_VARIABLE = "LNN_CAT_DATASET"
LOOP_AGREEMENT, STRATEGY_AGREEMENT = 1e-6, 1e-9
"""Relative differences of a cost that pass: to a loop that shares no code, and between strategies."""


def main() -> int:
    arguments = parse()
    given = arguments.cat or os.environ.get(CAT_VARIABLE)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        job = cat_job(Path(given) if given else None, scratch)
        print(f"job: {'-'.join(map(str, job.sizes))} on {job.data}", flush=True)
        try:
            with local_cloud(arguments.home) as cloud:
                report = compare(job, cloud, arguments, scratch)
        except BenchmarkError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("bench: interrupted", file=sys.stderr)
            return 130
    path = write(report, arguments.name)
    print(f"\n{markdown(report)}\nwritten: {path.name} and its table, in benchmarks/results/")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure LNN beside a plain numpy loop.")
    parser.add_argument("--cat", type=Path, metavar="DATASET.h5", help=f"the cat pictures (or {CAT_VARIABLE})")
    parser.add_argument("--home", type=Path, help="LNN_HOME of a local cloud that runs already (no cold figures then)")
    parser.add_argument("--name", default="cat", help="last part of the files' names (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="samples of each contender (default: %(default)s)")
    parser.add_argument(
        "--patience",
        type=float,
        default=60,
        help="seconds to wait before each sample for others to be quiet (default: 60)",
    )
    parser.add_argument("--neuron-epochs", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.add_argument("--fused-epochs", type=int, default=2500, metavar="N", help="default: %(default)s")
    parser.add_argument("--numpy-epochs", type=int, default=500, metavar="N", help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.fused_epochs < max(arguments.neuron_epochs, arguments.numpy_epochs):
        parser.error("--fused-epochs must be the largest: the others' costs are compared with its history")
    return arguments


def compare(job: Job, cloud: Cloud, arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Every contender's samples, cold ones first."""
    before, patience = load_average(), arguments.patience
    numpy_loop = Program("numpy", "a plain numpy loop in one process", "numpy_loop", arguments.numpy_epochs)
    warm: list[Contender] = [
        Strategy(cloud, "neuron", arguments.neuron_epochs),
        Strategy(cloud, "fused", arguments.fused_epochs),
        numpy_loop,
    ]
    samples: dict[str, list[dict[str, Any]]] = {}
    cold: list[Contender] = [Strategy(cloud, "neuron", 1, cold=True)] if cloud.owned else []
    for contender in cold:
        samples[contender.name] = [sample(contender, job, scratch, patience) for _ in range(arguments.repeats)]
    for strategy in ("neuron", "fused"):  # whatever is cold is warm after this
        Strategy(cloud, strategy, 2).measure(job, scratch)
    for _ in range(arguments.repeats):
        for contender in warm:
            samples.setdefault(contender.name, []).append(sample(contender, job, scratch, patience))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "machine": machine(),
        "load_average": {"before": before, "after": load_average()},
        "job": job.facts(),
        "contenders": [
            {"name": contender.name, "what": contender.what, "epochs": contender.epochs}
            | summary(samples[contender.name])
            for contender in [*cold, *warm]
        ],
        "notes": [
            "LNN computes the test accuracy and writes a row of history after every epoch; the plain loop does not.",
            *agreement(cloud, samples, numpy_loop, arguments.neuron_epochs),
        ],
        "prototype": PROTOTYPE,
    }


def sample(contender: Contender, job: Job, scratch: Path, patience: float) -> dict[str, Any]:
    """One measurement, told as it is made, with what others used of the processor just before."""
    contender.prepare()
    others = await_quiet(patience)
    measured = contender.measure(job, scratch)
    print(f"{contender.name:<14}{measured['ms_per_epoch']:10.2f} ms an epoch   (others: {others:.0%})", flush=True)
    return measured | {"others_before": others}


def agreement(cloud: Cloud, samples: dict[str, list[dict[str, Any]]], loop: Program, neuron_epochs: int) -> list[str]:
    """Whether all, from the same weights, have come to the same cost. Raises BenchmarkError."""
    fused = samples["fused"][0]["run_id"]
    notes = []
    for other, epoch, allowed in (
        (loop.name, loop.epochs, LOOP_AGREEMENT),
        ("neuron", neuron_epochs, STRATEGY_AGREEMENT),
    ):
        expected, found = samples[other][0]["final_cost"], cloud.cost_at(fused, epoch)
        difference = abs(found - expected) / abs(expected)
        if difference > allowed:
            raise BenchmarkError(f"epoch {epoch}: `fused` has cost {found!r}, `{other}` {expected!r}")
        notes.append(
            f"From equal weights, the costs of `fused` and `{other}` at epoch {epoch} differ by {difference:.0e}."
        )
    return notes


if __name__ == "__main__":
    sys.exit(main())
