"""The trials of a sweep, and what their runs have come to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lnn.runs.record import Run

State = Literal["waiting", "running", "complete", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class TrialRun:
    """A run of a sweep. Its dataset lies in a folder of its own, so that the run is found again by that."""

    folder: str
    fold: int | None = None
    """The part of the training examples that it validates with, from 1; None where the sweep has no folds."""
    run_id: str | None = None
    record: Run | None = None

    @property
    def has_ended(self) -> bool:
        return self.record is not None and self.record.has_ended and not self.record.is_unfinished

    @property
    def state(self) -> State:
        """One that was stopped is pruned, whatever model it has."""
        run = self.record
        if run is None or not self.has_ended:
            return "running"
        if run.status == "FAILED" or run.validation_cost is None:
            return "failed"
        return "pruned" if run.status == "STOPPED" else "complete"

    @property
    def value(self) -> float | None:
        """Its lowest validation cost, once it has ended with a model."""
        if self.record is None or self.state in ("running", "failed") or self.record.validation_cost is None:
            return None
        return float(self.record.validation_cost)

    @property
    def usd(self) -> float:
        """What it has cost, or is estimated to cost while it is at work; 0 where nothing is known."""
        if self.record is None:
            return 0.0
        estimate = self.record.estimate
        expected = float(estimate["usd"]) if estimate is not None and not self.has_ended else 0.0
        return max(float(self.record.usd or 0.0), expected)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of a sweep; trials count from 1."""

    number: int
    settings: Mapping[str, Any]
    state: State = "waiting"
    runs: tuple[TrialRun, ...] = ()
    """One, or one for each fold that was begun."""
    folds: int | None = None

    @property
    def run_id(self) -> str | None:
        """Its run; None for a trial of several."""
        return None if self.folds else next((run.run_id for run in self.runs), None)

    @property
    def record(self) -> Run | None:
        """Its run's record; of a trial of several the first's."""
        return next((run.record for run in self.runs), None)

    @property
    def costs(self) -> list[float]:
        """The lowest validation cost of each run that has one, in the folds' order."""
        return [run.value for run in self.runs if run.value is not None]

    @property
    def value(self) -> float | None:
        """What it is compared by: the mean of its runs' costs, once all of them have one."""
        costs = self.costs
        return fmean(costs) if len(costs) == (self.folds or 1) else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the folds' costs (of these, as scikit-learn's ``std_test_score``)."""
        return pstdev(self.costs) if self.folds and self.value is not None else None

    @property
    def epochs_to_refit(self) -> int:
        """Epochs to train with its settings where nothing validates: the mean of those that its folds were best at."""
        kept = [run.record for run in self.runs if run.record is not None]
        epochs = [run.best_epoch if run.settings.get("keep") == "best" else run.epochs for run in kept]
        return max(1, math.ceil(fmean(float(one or 1) for one in epochs)))

    def score(self, name: str) -> float | None:
        """The mean of a score of its runs' records; None where one has none."""
        found = [None if run.record is None else run.record.attribute(name) for run in self.runs]
        scores = [score for score in found if isinstance(score, float)]
        return fmean(scores) if scores and len(scores) == len(found) else None

    def settled(self, *, no_more: bool) -> Trial:
        """The trial in the state of its runs; with ``no_more`` none begins any more."""
        if any(not run.has_ended for run in self.runs) or (len(self.runs) < (self.folds or 1) and not no_more):
            return self
        states = [run.state for run in self.runs]
        whole = len(states) == (self.folds or 1)
        state: State = (
            "failed" if "failed" in states else "complete" if whole and set(states) == {"complete"} else "pruned"
        )
        return replace(self, state=state)


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The complete trial of the lowest value, the first of several; if none is complete, one that was stopped."""
    known = [trial for trial in trials if trial.value is not None]
    complete = [trial for trial in known if trial.state == "complete"]
    return min(complete or known, key=lambda trial: (float(trial.value or 0.0), trial.number), default=None)
