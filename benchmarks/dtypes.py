#!/usr/bin/env python3
"""Test scores and processor time in float32 beside float64, over seeds: what `"dtype": "auto"` gives up, and gains.

Digits (uint8), synthetic pictures of 784 pixels (uint8) and the example tables (float32, as `lnn train TABLE` makes
them) train in this process with the engine of `fused` and the parameters that `lnn train` chooses for them. A seed
draws weights, batches and, of a table, the test rows; both dtypes have the same. It passes if no
median score in float32 is below float64's by more than 0.01.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from lnn.data.dataset import feature_shards, inspect_dataset, label_matrix, standardize
from lnn.data.in_memory import TrainingData, ValidationSet
from lnn.data.parts import Part, parts_of
from lnn.data.summary import DatasetSummary
from lnn.job.hyperparameters import parse_settings
from lnn.job.plan import Plan
from lnn.launch import plan_of
from lnn.models.checkpoint import Checkpoint
from lnn.network.initializers import init_parameters
from lnn.network.model import new_slots
from lnn.planning.planner import choose
from lnn.planning.workload import Functions
from lnn.strategies.fused.engine import Textbook
from lnn_client.cloud import repository
from lnn_client.parameters import MANY, project_parameters, propose, read_parameters
from lnn_client.table_datasets import Choices, make_dataset
from lnn_client.tables import open_table
from lnn_tools.errors import exit_status
from lnnbench.jobs import batch_job
from lnnbench.machine import load_average, machine, revision
from lnnbench.report import figure, table

NAME = "dtypes"
THREADS = "OPENBLAS_NUM_THREADS"
WORST = -0.01
"""The lowest difference of medians that passes."""

DTYPES = ("float64", "float32")
DIGITS, PICTURES = "digits", "10,000 x 784, synthetic"
TABLES = {
    "iris": "species",
    "wine": "cultivar",
    "diabetes": "progression",
    "moons": "class",
    "circles": "class",
    "spiral": "class",
}
"""The tables with their columns to learn; xor is left out, which both learn to the last example."""


@dataclass(frozen=True)
class Data:
    """A dataset in its file."""

    path: Path
    summary: DatasetSummary


def main() -> int:
    parser = argparse.ArgumentParser(description="Scores and processor time in float32 beside float64, over seeds.")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0 (default: %(default)s)")
    parser.add_argument("--output", type=Path, help=f"folder for {NAME}.json and {NAME}.md (default: print only)")
    arguments = parser.parse_args()
    before = load_average()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in (DIGITS, PICTURES, *TABLES):
            rows += [compare(name, seed, Path(folder)) for seed in range(arguments.seeds)]
    report: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "machine": machine(),
        "blas_threads": os.environ.get(THREADS, "all"),
        "load_average": before,
        "rows": rows,
        "outcome": outcome(rows),
    }
    shown = "\n".join(in_markdown(report)) + "\n"
    print(shown)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        (arguments.output / f"{NAME}.json").write_text(json.dumps(report, indent=2) + "\n")
        (arguments.output / f"{NAME}.md").write_text(shown)
    return 0 if all(row["passed"] for row in report["outcome"].values()) else 1


def compare(name: str, seed: int, scratch: Path) -> dict[str, Any]:
    """One seed of one dataset in both dtypes, in turn."""
    data = dataset(name, seed, scratch)
    order = DTYPES if seed % 2 else DTYPES[::-1]
    found = {dtype: trained(data, dtype, seed) for dtype in order}
    scores = ", ".join(f"{dtype} {found[dtype]['score']:.4f}" for dtype in DTYPES)
    print(f"{name}, seed {seed}: {scores}", flush=True)
    return {"data": name, "stored": data.summary.dtype, "seed": seed, **found}


def dataset(name: str, seed: int, scratch: Path) -> Data:
    """Pictures as they are; of a table what `lnn train` makes of it, with other test rows for each seed."""
    if name == DIGITS:
        path = repository() / "examples" / "digits" / "datasets.h5"
    elif name == PICTURES:
        path = batch_job(scratch, MANY).dataset
    else:
        path = scratch / f"{name}.h5"
        path.unlink(missing_ok=True)
        choices = Choices(TABLES[name], seed=seed)
        make_dataset(path, open_table(repository() / "examples" / "tables" / f"{name}.csv"), choices, lambda _: None)
    return Data(path, inspect_dataset(path))


def trained(data: Data, dtype: str, seed: int) -> dict[str, float]:
    """Test score of the last epoch's model, and the processor's seconds for all epochs."""
    plan, parts = planned(data, dtype, seed)
    start = init_parameters(plan.sizes, plan.activations, "auto", plan.seed, plan.dtype)
    engine = Textbook(plan, in_memory(data.path, plan, parts), Checkpoint(0, start, new_slots(start, plan.update_rule)))
    began, t = time.process_time(), 0
    for epoch in range(1, plan.epochs + 1):
        for batch, following in pairwise([*plan.batches(epoch), None]):
            t += 1
            engine.step(batch, t, False, following)
    seconds = time.process_time() - began
    scores: Mapping[str, Any] = plan.scores("test", engine.test_tally())
    return {"score": float(scores["test_r2" if plan.targets else "test_accuracy"]), "seconds": seconds}


def planned(data: Data, dtype: str, seed: int) -> tuple[Plan, Any]:
    """The plan that Launch makes of the parameters which `lnn train` proposes."""
    summary, path = data.summary, project_parameters()
    changes = propose(path, len(summary.classes), summary.m, summary.features).changes
    settings = parse_settings(read_parameters(path, [*changes, f"dtype={dtype}", f"seed={seed}"], "fused"))
    parts = parts_of(data.path, summary, settings.validation, settings.seed)
    return plan_of(settings, summary, choose(settings, summary, Functions()), parts), parts


def in_memory(path: Path, plan: Plan, parts: dict[str, Part]) -> TrainingData:
    """The examples as the network's matrices."""

    def features(part: Part) -> Any:
        shards = list(feature_shards(path, part.features, plan.sizes[0], plan.shard_rows, part.chosen))
        stored = np.concatenate(shards)
        rows = np.empty(stored.shape, plan.dtype)
        standardize(stored, plan.scale, rows)
        return rows.T

    train, test, units = parts["train"], parts["test"], plan.sizes[-1]
    labels = label_matrix(train.y, units, plan.dtype)
    nothing = np.empty((plan.sizes[0], 0), plan.dtype)
    validation = ValidationSet(nothing, np.empty((units, 0), plan.dtype), np.empty(0, np.int64))
    return TrainingData(features(train), labels, train.y, features(test), test.y, validation)


def outcome(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each dataset the medians of both dtypes, and whether the score in float32 is not below."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == name]
        medians = {
            dtype: {key: median(row[dtype][key] for row in of_data) for key in ("score", "seconds")} for dtype in DTYPES
        }
        each = [row["float32"]["score"] - row["float64"]["score"] for row in of_data]
        # Rounded: 0.95 - 0.96 is below -0.01 in floating point.
        difference = round(medians["float32"]["score"] - medians["float64"]["score"], 9)
        found[name] = {
            **medians,
            "stored": of_data[0]["stored"],
            "difference": difference,
            "range": [min(each), max(each)],
            "passed": difference >= WORST,
        }
    return found


def in_markdown(report: dict[str, Any]) -> Iterator[str]:
    """The table of the outcome."""
    machine_, seeds = report["machine"], len({row["seed"] for row in report["rows"]})
    yield "# float32 beside float64\n"
    yield (
        f"Medians over {seeds} seeds, strategy `fused`, the parameters that `lnn train` chooses. R2 for\n"
        "diabetes, else accuracy; beside the difference of the medians the least and the greatest of one\n"
        f"seed. Seconds are the processor's, of one training. {report['date']}, {machine_['cpu']},\n"
        f"{machine_['cores']} cores, numpy {machine_['numpy']}, BLAS threads: {report['blas_threads']}; "
        f"load average {report['load_average']}.\n"
    )
    yield from table(
        (
            "data",
            "stored as",
            "float64:",
            "float32:",
            "difference:",
            "one seed:",
            "float64, s:",
            "float32, s:",
            "faster:",
        ),
        (
            (
                name,
                found["stored"],
                f"{found['float64']['score']:.3f}",
                f"{found['float32']['score']:.3f}",
                f"{found['difference']:+.3f}",
                "{:+.3f} to {:+.3f}".format(*found["range"]),
                figure(found["float64"]["seconds"]),
                figure(found["float32"]["seconds"]),
                f"{found['float64']['seconds'] / found['float32']['seconds']:.2f}",
            )
            for name, found in report["outcome"].items()
        ),
    )


if __name__ == "__main__":
    sys.exit(exit_status("dtypes", main))
