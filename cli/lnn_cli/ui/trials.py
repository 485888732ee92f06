"""The trials of a sweep in words, for the terminal and for reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lnn_cli.ui.console import number

if TYPE_CHECKING:
    from lnn_client.sweeps import Sweep, Trial


def cost(trial: Trial) -> str:
    """What a trial is compared by; with folds the mean, and the standard deviation."""
    return number(trial.value) if trial.spread is None else f"{number(trial.value)} ± {number(trial.spread)}"


def short(value: Any) -> str:
    """The value of a setting."""
    return number(value) if isinstance(value, float) else json.dumps(value).strip('"')


def score_name(sweep: Sweep) -> str:
    """The score that people know the trials' models by."""
    is_regression = any(trial.record is not None and trial.record.is_regression for trial in sweep.trials)
    return "r2" if is_regression else "accuracy"


def ranked(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row for each trial, the best first, with only what varies of its settings."""
    score, varies = score_name(sweep), list(sweep.plan.space)
    rows = [
        [
            str(one.number),
            one.state,
            cost(one),
            number(one.score(f"validation_{score}")),
            *(short(one.settings[key]) for key in varies),
        ]
        for one in sweep.ranking()
    ]
    return ["trial", "state", "cost", f"validation {score}", *varies], rows


def best_in_words(sweep: Sweep) -> str | None:
    """The best trial, its run and its test score; None while no trial has a model."""
    best, run = sweep.best(), sweep.best_run()
    if best is None or run is None or run.record is None:
        return None
    score = score_name(sweep)
    tested = run.record.test_r2 if score == "r2" else run.record.test_accuracy
    trained = f", trained with all examples for {run.record.epochs} epochs" if sweep.plan.folds else ""
    return f"trial {best.number}{trained}, run {run.run_id}, test {score} {number(tested)}"
