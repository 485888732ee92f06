#!/usr/bin/env python3
"""Thirty settings of a network for the digits: ``lnn sweep`` beside scikit-learn's searches, and what AWS would take.

All train the same 30 settings for 30 epochs on the same training examples, and compare them by the log loss on the same
validation examples. The sides take turns, and medians of the rounds are compared:

- ``lnn sweep --sampler grid`` on the local cloud, the whole command: Python's start, upload, 30 runs, the best model
  handed to the registry;
- ``GridSearchCV(MLPClassifier(), n_jobs=2)``, and ``RandomizedSearchCV``, which tries the same settings in another
  order, with the start of joblib's processes and without a last fit on all examples.

Each side draws its own starting weights and batches, so their costs differ in the third digit. scikit-learn's are those
of the last epoch, LNN's those of the best one, which the trial keeps.

For AWS the cost model of ``lnn estimate`` says how long each trial takes. The sweep with all of them at once takes as
long as the slowest, after one command has started all.

It passes if ``lnn sweep`` takes no longer than either search, all find the same best setting, and the sweep on AWS
takes at most three times as long as one trial.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, PredefinedSplit, RandomizedSearchCV, train_test_split
from sklearn.neural_network import MLPClassifier

from lnn.data.dataset import DatasetSummary, write_dataset
from lnn.job.hyperparameters import apply_overrides
from lnn_client.cloud import Target
from lnn_client.datasets import check_training
from lnn_client.estimates import cost_model
from lnn_tools.errors import exit_status
from lnnbench.cloud import Cloud, local_cloud
from lnnbench.machine import load_average, machine, revision
from lnnbench.marks import Mark
from lnnbench.report import RESULTS, marks_table, table

RATE, UNITS = "learning_rate", "neurons.layer1"
SPACE: Mapping[str, Sequence[Any]] = {RATE: [0.00003, 0.0001, 0.0003, 0.001, 0.003], UNITS: [8, 16, 32, 64, 128, 256]}
"""As ``lnn sweep --space`` takes it."""
THEIR_NAMES = {RATE: "learning_rate_init", UNITS: "hidden_layer_sizes"}

COLUMNS = 100
"""Of the project's pages."""
BATCH_SIZE = 64
JOBS = 2
"""Of scikit-learn's searches."""
SIDES = ("lnn sweep", "GridSearchCV", "RandomizedSearchCV")

REQUEST_SECONDS = 0.1
"""A request of the driver to S3 from outside AWS. Estimate."""
REQUESTS = 2
"""Of a trial's start, one after the other: PUT of its parameters, and the copy of the dataset."""
MOST_TIMES_ONE_TRIAL = 3.0


@dataclass(frozen=True)
class Examples:
    """The digits in three parts, features from 0 to 1."""

    X: Any
    y: Any
    X_validation: Any
    y_validation: Any
    X_test: Any
    y_test: Any


def main() -> int:
    parser = argparse.ArgumentParser(description="A sweep of settings beside scikit-learn's searches.")
    parser.add_argument("--home", type=Path, help="LNN_HOME of a running local cloud")
    parser.add_argument("--rounds", type=int, default=3, help="of each side, in turn (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=30, help="of each trial (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=30, help="the first so many settings (default: %(default)s)")
    parser.add_argument("--parallel", type=int, default=4, help="trials at once, of LNN (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of sweeps.json and sweeps.md")
    arguments = parser.parse_args()
    examples, space, before = digits(), first_settings(arguments.trials), load_average()
    with tempfile.TemporaryDirectory() as folder, local_cloud(arguments.home) as cloud:
        dataset, parameters = write_job(Path(folder), examples, arguments.epochs)
        warm_up(cloud, dataset, parameters, arguments.parallel)
        rounds = []
        for _ in range(arguments.rounds):
            ours = with_lnn(cloud, dataset, parameters, space, arguments.parallel)
            theirs = {side: with_scikit_learn(side, examples, space, arguments.epochs) for side in SIDES[1:]}
            rounds.append({SIDES[0]: ours} | theirs)
            print(", ".join(f"{side} {found['seconds']:.1f} s" for side, found in rounds[-1].items()), flush=True)
        aws = on_aws(trial_seconds(dataset, parameters, space))
    report = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "revision": revision(),
        "machine": machine("scikit-learn", "optuna"),
        "load_average": {"before": before, "after": load_average()},
        "settings": settings_of(space),
        "epochs": arguments.epochs,
        "parallel": arguments.parallel,
        "rounds": rounds,
        "aws": aws,
        "marks": [mark.facts() for mark in marks(rounds, aws)],
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "sweeps.json").write_text(json.dumps(report, indent=2) + "\n")
    text = in_markdown(report)
    (arguments.output / "sweeps.md").write_text(text)
    print(text)
    return 0 if all(mark["met"] for mark in report["marks"]) else 1


def digits() -> Examples:
    """A fifth of the digits for validation and one for testing, of each class."""
    X, y = load_digits(return_X_y=True)
    X_train, X_rest, y_train, y_rest = train_test_split(X / 16, y, test_size=0.4, stratify=y, random_state=0)
    parts = train_test_split(X_rest, y_rest, test_size=0.5, stratify=y_rest, random_state=0)
    X_validation, X_test, y_validation, y_test = parts
    return Examples(X_train, y_train, X_validation, y_validation, X_test, y_test)


def first_settings(trials: int) -> dict[str, list[Any]]:
    """``SPACE`` with as many values as make so many settings, or less."""
    space = {name: list(values) for name, values in SPACE.items()}
    while len(settings_of(space)) > trials:
        longest = max(space, key=lambda name: len(space[name]))
        space[longest].pop(0)
    return space


def settings_of(space: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(space, values, strict=True)) for values in product(*space.values())]


def write_job(folder: Path, examples: Examples, epochs: int) -> tuple[Path, Path]:
    """The dataset and the parameters of a trial."""
    dataset, parameters = folder / "digits.h5", folder / "parameters.json"
    validation = examples.X_validation, examples.y_validation
    names = [str(digit) for digit in range(10)]
    write_dataset(dataset, examples.X, examples.y, examples.X_test, examples.y_test, names, validation=validation)
    fixed = {
        "layers": 2,
        "neurons": {"layer1": 32, "layer2": 10},
        "activations": {"layer1": "relu", "layer2": "softmax"},
        "epochs": epochs,
        "batch_size": BATCH_SIZE,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "weight_init": "xavier",
    }
    parameters.write_text(json.dumps(fixed))
    return dataset, parameters


def warm_up(cloud: Cloud, dataset: Path, parameters: Path, parallel: int) -> None:
    """Start the functions: a cloud that has just begun has no warm ones."""
    with_lnn(cloud, dataset, parameters, {UNITS: list(range(8, 8 + parallel))}, parallel, "epochs=1")


def with_lnn(
    cloud: Cloud, dataset: Path, parameters: Path, space: Mapping[str, Sequence[Any]], parallel: int, *changes: str
) -> dict[str, Any]:
    """Seconds of the whole command, and its best setting. Raises BenchmarkError."""
    file = dataset.with_name("space.json")
    file.write_text(json.dumps(space))
    options = ["--space", str(file), "--parameters", str(parameters), "--sampler", "grid", "--parallel", str(parallel)]
    options += ["--trials", str(len(settings_of(space))), "--name", f"bench-{time.time_ns():x}", "--json"]
    began = time.perf_counter()
    swept = cloud.lnn("sweep", str(dataset), *options, *(word for change in changes for word in ("--set", change)))
    return outcome(
        time.perf_counter() - began, [(trial["validation_cost"], trial["settings"]) for trial in swept["trials"]]
    )


def with_scikit_learn(side: str, examples: Examples, space: Mapping[str, Sequence[Any]], epochs: int) -> dict[str, Any]:
    """Seconds of a whole search, and its best setting."""
    count = len(settings_of(space))
    X = np.concatenate([examples.X, examples.X_validation])
    y = np.concatenate([examples.y, examples.y_validation])
    model = MLPClassifier(
        batch_size=BATCH_SIZE, alpha=0.0, max_iter=epochs, tol=0.0, n_iter_no_change=epochs + 1, random_state=0
    )
    values = {THEIR_NAMES[name]: list(of) for name, of in space.items()}
    common: dict[str, Any] = {
        "scoring": "neg_log_loss",
        "n_jobs": JOBS,
        "refit": False,
        "cv": PredefinedSplit([-1] * len(examples.y) + [0] * len(examples.y_validation)),
    }
    if side == "GridSearchCV":
        search = GridSearchCV(model, values, **common)
    else:
        search = RandomizedSearchCV(model, values, n_iter=count, random_state=0, **common)
    began = time.perf_counter()
    with warnings.catch_warnings():
        # It warns that it stopped at max_iter, which is intended.
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, y)
    seconds = time.perf_counter() - began
    tried = [{name: one[THEIR_NAMES[name]] for name in space} for one in search.cv_results_["params"]]
    return outcome(seconds, list(zip((-search.cv_results_["mean_test_score"]).tolist(), tried, strict=True)))


def outcome(seconds: float, trials: Sequence[tuple[float, Mapping[str, Any]]]) -> dict[str, Any]:
    """A search's facts: seconds, and its three best settings with their costs."""
    ranked = sorted(trials, key=lambda trial: trial[0])
    best = [{"cost": cost, "settings": dict(settings)} for cost, settings in ranked[:3]]
    return {"seconds": seconds, "trials": len(trials), "best": best}


def trial_seconds(dataset: Path, parameters: Path, space: Mapping[str, Sequence[Any]]) -> list[float]:
    """What the cost model says that each trial takes on AWS, from its upload to its model."""
    found: list[float] = []
    summary: DatasetSummary | None = None
    base = json.loads(parameters.read_text())
    for settings in settings_of(space):
        changes = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
        content = json.dumps(apply_overrides(base, changes)).encode()
        summary, parsed = check_training(dataset, content, "the parameters", summary)
        found.append(cost_model(Target.AWS, parsed, summary).estimate("fused").seconds_total)
    return found


def on_aws(trials: Sequence[float]) -> dict[str, float]:
    """Seconds on AWS of one trial and of all at once, whose driver starts one after the other."""
    starting = REQUESTS * REQUEST_SECONDS
    sweep = max(place * starting + seconds for place, seconds in enumerate(trials, start=1))
    return {"trials": len(trials), "one_trial": median(trials), "sweep": sweep, "ratio": sweep / median(trials)}


def times_as_long(rounds: Sequence[Mapping[str, Any]], side: str) -> float:
    """As the median over the rounds: a busy moment of the machine affects both sides of one."""
    ratios: list[float] = [found[SIDES[0]]["seconds"] / found[side]["seconds"] for found in rounds]
    return median(ratios)


def marks(rounds: Sequence[Mapping[str, Any]], aws: Mapping[str, float]) -> list[Mark]:
    ours, *theirs = ([json.dumps(found[side]["best"][0]["settings"]) for found in rounds] for side in SIDES)
    same = sum(all(best == one for best in bests) for one, *bests in zip(ours, *theirs, strict=True))
    return [
        *(Mark(f"lnn sweep beside {side}, times as long", 1.0, times_as_long(rounds, side)) for side in SIDES[1:]),
        Mark("rounds with one best setting", float(len(rounds)), float(same), at_least=True),
        Mark("AWS, by the model: all trials at once, times one trial", MOST_TIMES_ONE_TRIAL, aws["ratio"]),
    ]


def in_markdown(report: Mapping[str, Any]) -> str:
    """The tables of the outcome."""
    rounds, machine_, aws = report["rounds"], report["machine"], report["aws"]
    about = (
        f"{len(report['settings'])} settings, {report['epochs']} epochs each, {report['parallel']} trials at once, "
        f"scikit-learn with `n_jobs={JOBS}`; medians of {len(rounds)} rounds in turn. {report['date']}, "
        f"{machine_['cpu']}, {machine_['cores']} cores, {machine_['others']}; load average "
        f"{report['load_average']['before']} before. Costs are log losses on the validation examples."
    )
    lines = ["# A sweep of settings beside scikit-learn's searches", "", *wrap(about, COLUMNS), ""]
    lines += [*marks_table(report["marks"]), ""]
    lines += table(
        ("search", "seconds:", "smallest to largest:", "best setting", "its cost:"), map(_cells(rounds), SIDES)
    )
    on_aws = (
        f"On AWS, by the cost model: {aws['one_trial']:.1f} s for one trial from its upload to its model, "
        f"{aws['sweep']:.1f} s for {aws['trials']:.0f} at once. The driver starts one after the other, with {REQUESTS} "
        f"requests of {REQUEST_SECONDS:g} s each, an estimate."
    )
    lines += ["", *wrap(on_aws, COLUMNS)]
    return "\n".join(lines) + "\n"


def _cells(rounds: Sequence[Mapping[str, Any]]) -> Callable[[str], Sequence[str]]:
    """What makes the row of a search."""

    def row(side: str) -> Sequence[str]:
        seconds = [found[side]["seconds"] for found in rounds]
        best = rounds[-1][side]["best"][0]
        settings = ", ".join(f"`{name}` {value:g}" for name, value in best["settings"].items())
        span = f"{min(seconds):.1f} to {max(seconds):.1f}"
        return side, f"{median(seconds):.1f}", span, settings, f"{best['cost']:.4f}"

    return row


if __name__ == "__main__":
    sys.exit(exit_status("sweeps", main))
