#!/usr/bin/env python3
"""Test scores on five small data sets beside scikit-learn's MLP: the same network and settings, over seeds.

A seed's score is the mean over five folds: a model that was trained on the other four tests each, so every row is
tested once. One split would not do: a quarter of iris is 38 rows, and one of them is 0.026, more than the difference
that is asked for. Both sides get the same folds, standardized by their training rows, and train with adam for the same
epochs. Each draws its own starting weights and batches. It passes if no median score is below scikit-learn's by more
than 0.01.

LNN's settings are made equal to what scikit-learn does, unless --weight-init says otherwise. Weights start with the
variance of Glorot and Bengio, for relu, too, where LNN's own choice is that of He et al. The squared error of
``MLPRegressor`` has a factor of one half, so ``alpha`` weighs twice as much against it as ``l2`` does in LNN.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from lnn.data.dataset import write_dataset
from lnn_tools.errors import exit_status
from lnnbench.cloud import Cloud, local_cloud
from lnnbench.machine import machine, revision
from lnnbench.report import RESULTS

WORST = -0.01
"""The lowest difference of medians that passes."""

FOLDS = 5


@dataclass(frozen=True)
class Job:
    """A data set, and the settings of both sides."""

    load: Callable[[], Any]
    hidden: int = 32
    epochs: int = 100
    batch_size: int = 32
    learning_rate: float = 0.005
    l2: float = 1e-4
    regression: bool = False

    @property
    def score(self) -> str:
        return "test_r2" if self.regression else "test_accuracy"


JOBS = {
    "iris": Job(load_iris),
    "wine": Job(load_wine),
    "breast cancer": Job(load_breast_cancer),
    "digits": Job(load_digits),
    "diabetes": Job(load_diabetes, epochs=50, regression=True),
}


@dataclass(frozen=True)
class Split:
    """The rows of one fold, standardized."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    names: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(description="Test scores beside scikit-learn's, over seeds.")
    parser.add_argument("--home", type=Path, help="LNN_HOME of a running local cloud")
    parser.add_argument("--seeds", type=int, default=10, help="number of seeds, from 0 (default: %(default)s)")
    parser.add_argument("--weight-init", default="xavier", help="LNN's weight_init (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of scores.json and scores.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, local_cloud(arguments.home) as cloud:
        rows = [
            compare(cloud, name, job, seed, arguments.weight_init, Path(folder))
            for name, job in JOBS.items()
            for seed in range(arguments.seeds)
        ]
    report: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "machine": machine("scikit-learn"),
        "folds": FOLDS,
        "weight_init": arguments.weight_init,
        "rows": rows,
        "outcome": outcome(rows),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    table = in_markdown(report)
    (arguments.output / "scores.md").write_text(table)
    print(table)
    return 0 if all(job["passed"] for job in report["outcome"].values()) else 1


def compare(cloud: Cloud, name: str, job: Job, seed: int, weight_init: str, scratch: Path) -> dict[str, Any]:
    """One seed of one data set, on both sides."""
    splits = list(folds(job, seed))
    ours = means([with_lnn(cloud, job, split, seed, weight_init, scratch) for split in splits])
    theirs = means([with_scikit_learn(job, split, seed) for split in splits])
    print(f"{name}, seed {seed}: LNN {ours['score']:.4f}, scikit-learn {theirs['score']:.4f}", flush=True)
    return {"data": name, "seed": seed, "lnn": ours, "scikit-learn": theirs}


def means(trainings: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The mean score and seconds of the folds, and each fold's score."""
    scores = [training["score"] for training in trainings]
    return {"score": fmean(scores), "seconds": fmean(one["seconds"] for one in trainings), "folds": scores}


def folds(job: Job, seed: int) -> Iterator[Split]:
    loaded = job.load()
    names = [] if job.regression else [str(one) for one in loaded.target_names]
    kind = KFold if job.regression else StratifiedKFold
    for train, test in kind(FOLDS, shuffle=True, random_state=seed).split(loaded.data, loaded.target):
        X, X_test, y, y_test = loaded.data[train], loaded.data[test], loaded.target[train], loaded.target[test]
        scaler = StandardScaler().fit(X)
        if job.regression:  # a network that begins near 0 is far from targets in the hundreds
            of_targets = StandardScaler().fit(y[:, np.newaxis])
            y, y_test = (of_targets.transform(each[:, np.newaxis])[:, 0] for each in (y, y_test))
        yield Split(scaler.transform(X), y, scaler.transform(X_test), y_test, names)


def with_lnn(cloud: Cloud, job: Job, split: Split, seed: int, weight_init: str, scratch: Path) -> dict[str, float]:
    """Trains on the local cloud, strategy `fused`. Raises BenchmarkError."""
    dataset, file = scratch / "datasets.h5", scratch / "parameters.json"
    targets = ["target"] if job.regression else []
    write_dataset(dataset, split.X, split.y, split.X_test, split.y_test, split.names, targets)
    outputs = 1 if job.regression or len(split.names) == 2 else len(split.names)
    last = "linear" if job.regression else "sigmoid" if outputs == 1 else "softmax"
    parameters = {
        "layers": 2,
        "neurons": {"layer1": job.hidden, "layer2": outputs},
        "activations": {"layer1": "relu", "layer2": last},
        "epochs": job.epochs,
        "batch_size": job.batch_size,
        "optimizer": "adam",
        "learning_rate": job.learning_rate,
        "l2": job.l2 * (2 if job.regression else 1),
        "weight_init": weight_init,
        "seed": seed,
    }
    file.write_text(json.dumps(parameters))
    run = cloud.trained(dataset, file, "fused")
    return {"score": run[job.score], "seconds": run["ms_per_epoch"] * job.epochs / 1000}


def with_scikit_learn(job: Job, split: Split, seed: int) -> dict[str, float]:
    kind = MLPRegressor if job.regression else MLPClassifier
    model = kind(
        hidden_layer_sizes=[job.hidden],
        alpha=job.l2,
        batch_size=job.batch_size,
        learning_rate_init=job.learning_rate,
        max_iter=job.epochs,
        tol=0.0,
        n_iter_no_change=job.epochs + 1,
        random_state=seed,
    )
    began = time.perf_counter()
    with warnings.catch_warnings():
        # It warns that it stopped at max_iter, which is intended.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(split.X, split.y)
    seconds = time.perf_counter() - began
    return {"score": float(model.score(split.X_test, split.y_test)), "seconds": seconds}


def outcome(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each data set the medians of both sides, and whether LNN's score is not below."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == name]
        medians = {
            side: {figure: median(row[side][figure] for row in of_data) for figure in ("score", "seconds")}
            for side in ("lnn", "scikit-learn")
        }
        # Rounded: 0.95 - 0.96 is below -0.01 in floating point.
        difference = round(medians["lnn"]["score"] - medians["scikit-learn"]["score"], 9)
        found[name] = {**medians, "difference": difference, "passed": difference >= WORST}
    return found


def in_markdown(report: dict[str, Any]) -> str:
    """The table of the outcome."""
    seeds, machine_ = len({row["seed"] for row in report["rows"]}), report["machine"]
    about = (
        f"Medians over {seeds} seeds of the mean over {report['folds']} folds, `weight_init` {report['weight_init']};\n"
        f"{report['date']}, {machine_['cpu']}, {machine_['cores']} cores. R2 for diabetes, else accuracy. Seconds are\n"
        "those of one training alone."
    )
    lines = [
        "# Test scores beside scikit-learn's MLP",
        "",
        about,
        "",
        "| data | network | epochs | LNN | scikit-learn | difference | LNN, s | scikit-learn, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in report["outcome"].items():
        job, ours, theirs = JOBS[name], found["lnn"], found["scikit-learn"]
        lines.append(
            f"| {name} | {job.hidden} relu | {job.epochs} | {ours['score']:.3f} | {theirs['score']:.3f} | "
            f"{found['difference']:+.3f} | {ours['seconds']:.2f} | {theirs['seconds']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(exit_status("scores", main))
