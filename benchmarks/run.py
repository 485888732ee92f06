#!/usr/bin/env python3
"""Compares LNN with numpy, PyTorch and scikit-learn in one run, and writes benchmarks/results/ (`make bench`)."""

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lnn_tools.errors import exit_status
from lnnbench import charts, coldstart, estimates, growth, kernels, memory, neighbors, snapshots
from lnnbench.cloud import BenchmarkError, Cloud, local_cloud
from lnnbench.comparisons import Comparison, batches, cat, table
from lnnbench.floor import Floor
from lnnbench.jobs import BATCH_EXAMPLES, CAT_FILE, TABLE_EXAMPLES, batch_job, cat_job, table_job
from lnnbench.machine import await_quiet, load_average, machine, revision
from lnnbench.marks import marks
from lnnbench.rates import gemm_rates, round_trip
from lnnbench.report import PROTOTYPE, RESULTS, markdown, write

CAT_VARIABLE = "LNN_CAT_DATASET"
QUICK_BATCH_EXAMPLES, QUICK_TABLE_EXAMPLES = 5000, 50_000
MEMORY_EPOCHS = 2
COLD_STARTS = 5


def main() -> int:
    arguments = parse()
    with tempfile.TemporaryDirectory() as folder, local_cloud(arguments.home) as cloud:
        report = Benchmark(cloud, arguments, Path(folder)).run()
    print(f"\n{markdown(report)}\nwritten: {arguments.output}")
    return 1 if report["errors"] else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare LNN with numpy, PyTorch and scikit-learn.")
    given = os.environ.get(CAT_VARIABLE) or (CAT_FILE if CAT_FILE.exists() else None)
    parser.add_argument(
        "--cat",
        type=Path,
        metavar="DATASET.h5",
        default=given,
        help=f"the cat pictures (default: {CAT_VARIABLE}, else synthetic pictures)",
    )
    parser.add_argument("--home", type=Path, help="LNN_HOME of a running local cloud")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the report (default: %(default)s)")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[section for section in SECTIONS if section != "memory" or sys.platform == "linux"],
        metavar="A,B",
        help=f"some of {','.join(SECTIONS)}",
    )
    parser.add_argument("--repeats", type=int, default=5, help="samples of each way (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="small jobs and few epochs, to see that it works")
    parser.add_argument(
        "--patience", type=float, default=20, help="seconds to wait before a sample until other processes are idle"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - set(SECTIONS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: expected some of {', '.join(SECTIONS)}")
    if arguments.quick:
        arguments.repeats, arguments.patience = 1, 0
    return arguments


class Benchmark:
    """One run: its sections in order, with the report written after each."""

    def __init__(self, cloud: Cloud, given: argparse.Namespace, scratch: Path) -> None:
        self.cloud, self.given, self.scratch = cloud, given, scratch
        await_quiet(given.patience)
        self.floor = Floor(gemm_rates(), round_trip(cloud.redis_port))
        self.cat_job = cat_job(given.cat, scratch)
        self.batch_job = batch_job(scratch, QUICK_BATCH_EXAMPLES if given.quick else BATCH_EXAMPLES)
        self.estimates: list[dict[str, Any]] = []
        self.errors: dict[str, str] = {}

    def run(self) -> dict[str, Any]:
        """Returns the report, with the sections that failed in its ``errors``."""
        before = load_average()
        report: dict[str, Any] = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "revision": revision(),
            "machine": machine("torch", "scikit-learn"),
            "quick": self.given.quick,
            "floor": self.floor.facts(),
            "prototype": PROTOTYPE,
            "errors": self.errors,
        }
        for section in self.given.only:
            print(section, flush=True)
            began = time.monotonic()
            try:
                report[section] = SECTIONS[section](self)
            except BenchmarkError as error:
                self.errors[section] = str(error)
                print(f"  failed: {error}", flush=True)
            report |= {"load_average": {"before": before, "after": load_average()}, "marks": marks(report)}
            report.setdefault("seconds", {})[section] = round(time.monotonic() - began)
            write(report, self.given.output)
        charts.draw(report, self.given.output)
        return report

    def cat(self) -> dict[str, Any]:
        return self._compare(cat(self.cloud, self.cat_job, self.floor, quick=self.given.quick))

    def batches(self) -> dict[str, Any]:
        return self._compare(batches(self.cloud, self.batch_job, self.floor, quick=self.given.quick))

    def table(self) -> dict[str, Any]:
        job = table_job(self.scratch, QUICK_TABLE_EXAMPLES if self.given.quick else TABLE_EXAMPLES)
        return self._compare(table(self.cloud, job, self.floor, quick=self.given.quick))

    def _compare(self, comparison: Comparison) -> dict[str, Any]:
        section = comparison.measure(self.given.repeats, self.scratch, self.given.patience)
        if "estimate" in self.given.only:
            # At once, since the machine's speed changes with time.
            self.estimates += estimates.compare(self.cloud, comparison.job, comparison.strategies(), self.scratch)
        if comparison.problems:
            self.errors[f"costs of {comparison.job.name}"] = "; ".join(comparison.problems)
        return section

    def kernels(self) -> dict[str, Any]:
        given = self.given
        jobs = [(self.cat_job, 100 if given.quick else 2500), (self.batch_job, 2 if given.quick else 24)]
        return {"rows": kernels.prices(self.cloud, jobs, given.repeats, self.scratch, given.patience)}

    def snapshots(self) -> dict[str, Any]:
        given = self.given
        rounds = 2 if given.quick else snapshots.ROUNDS * given.repeats
        trainings = snapshots.pairs(self.cat_job, quick=given.quick)
        return {
            "rounds": rounds,
            "rows": snapshots.overhead(self.cloud, trainings, rounds, self.scratch, given.patience),
        }

    def neighbors(self) -> dict[str, Any]:
        given = self.given
        epochs = 2 if given.quick else 12
        return neighbors.slowdown(self.cloud, self.batch_job, epochs, given.repeats, self.scratch, given.patience)

    def memory(self) -> dict[str, Any]:
        twice = batch_job(self.scratch, 2 * self.batch_job.examples)
        runs = [
            memory.peaks_of(self.cloud, job, "data", 2, MEMORY_EPOCHS, self.scratch) for job in (self.batch_job, twice)
        ]
        return {"epochs": MEMORY_EPOCHS, "runs": runs}

    def cold(self) -> dict[str, Any]:
        return coldstart.cold_starts(self.cloud, 1 if self.given.quick else COLD_STARTS, self.given.patience)

    def growth(self) -> dict[str, Any]:
        return {
            "sizes": growth.sizes(self.cloud, self.floor, self.scratch, quick=self.given.quick),
            "workers": growth.workers(self.cloud, self.floor, self.scratch, quick=self.given.quick),
        }

    def estimate(self) -> dict[str, Any]:
        return {"rows": self.estimates}


SECTIONS = {
    "cat": Benchmark.cat,
    "batches": Benchmark.batches,
    "table": Benchmark.table,
    "kernels": Benchmark.kernels,
    "snapshots": Benchmark.snapshots,
    "neighbors": Benchmark.neighbors,
    "memory": Benchmark.memory,
    "cold": Benchmark.cold,
    "growth": Benchmark.growth,
    "estimate": Benchmark.estimate,
}


if __name__ == "__main__":
    sys.exit(exit_status("bench", main))
