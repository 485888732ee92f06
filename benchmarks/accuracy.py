#!/usr/bin/env python3
"""The accuracy of the cat job over seeds: 2,500 epochs of `fused` for each, on the local cloud.

It passes if 80% of the seeds reach a training accuracy of 0.95 and the median test accuracy is at least 0.72.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from lnn_tools.errors import exit_status
from lnnbench.cloud import Cloud, local_cloud
from lnnbench.jobs import Job, cat_job
from lnnbench.machine import machine, revision
from lnnbench.report import RESULTS

TRAIN_ACCURACY, SHARE_OF_SEEDS, MEDIAN_TEST_ACCURACY = 0.95, 0.8, 0.72


def main() -> int:
    parser = argparse.ArgumentParser(description="Accuracy of the cat job over seeds.")
    parser.add_argument("--cat", type=Path, metavar="DATASET.h5", default=os.environ.get("LNN_CAT_DATASET"))
    parser.add_argument("--home", type=Path, help="LNN_HOME of a running local cloud")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0 (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=2500, help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.cat is None:
        parser.error("this needs the real pictures: name their file with --cat or LNN_CAT_DATASET")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        job = cat_job(Path(arguments.cat), scratch)
        with local_cloud(arguments.home) as cloud:
            rows = [train(cloud, job, seed, arguments.epochs, scratch) for seed in range(arguments.seeds)]
    report = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "machine": machine("torch", "scikit-learn"),
        "job": job.facts(),
        "epochs": arguments.epochs,
        "seeds": rows,
        "outcome": outcome(rows),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{report['date']}-accuracy.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"{json.dumps(report['outcome'])}\nwritten: {path.name} in benchmarks/results/")
    return 0 if report["outcome"]["passed"] else 1


def train(cloud: Cloud, job: Job, seed: int, epochs: int, scratch: Path) -> dict[str, Any]:
    """Trains once with `fused` and prints the result. Raises BenchmarkError."""
    parameters = job.write_parameters(scratch / "parameters.json", epochs, seed=seed)
    run = cloud.trained(job.dataset, parameters, "fused")
    names = (
        "status",
        "final_cost",
        "train_accuracy",
        "test_accuracy",
        "base_rate",
        "balanced_accuracy",
        "ms_per_epoch",
    )
    row = {"seed": seed} | {name: run[name] for name in names}
    shown = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items())
    print("  ".join(shown), flush=True)
    return row


def outcome(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures that are compared with the mark, and whether they reach it."""
    learned = sum(row["train_accuracy"] >= TRAIN_ACCURACY for row in rows)
    test = median(row["test_accuracy"] for row in rows)
    return {
        "seeds": len(rows),
        "seeds_with_train_accuracy_0.95": learned,
        "median_test_accuracy": test,
        "passed": learned >= SHARE_OF_SEEDS * len(rows) and test >= MEDIAN_TEST_ACCURACY,
    }


if __name__ == "__main__":
    sys.exit(exit_status("accuracy", main))
