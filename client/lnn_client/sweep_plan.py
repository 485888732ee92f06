"""What a sweep is to do, checked before anything is uploaded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lnn.errors import InputError
from lnn.names import sweep_folder
from lnn_client.datasets import check_dataset, check_training
from lnn_client.search_space import Space

if TYPE_CHECKING:
    from lnn.data.dataset import DatasetSummary

Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["none", "median", "halving"]

METRIC = "validation_cost"
"""What trials are compared by: of examples that neither training nor the final test sees."""
VALIDATION_SHARE = 0.2
"""Held out for that where the parameters hold nothing out, and there are no folds."""
MOST_RUNS = 1_000
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
"""Of a sweep."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep is to do; stored with it."""

    name: str
    space: Mapping[str, Any]
    parameters: Mapping[str, Any]
    """Of every trial, where the space changes nothing; a whole ``parameters.json``."""
    trials: int
    parallel: int = 4
    """Runs at once."""
    sampler: Sampler = "tpe"
    pruner: Pruner = "none"
    seed: int = 0
    """Of the settings that are drawn, and of the folds."""
    max_usd: float | None = None
    """No run begins that might take the sweep beyond so many US dollars, by the estimates."""
    seconds: float | None = None
    """No trial begins after so many seconds, and runs at work are stopped; the last training of folds comes after."""
    folds: int | None = None
    """Runs of a trial, each of which validates with another part of the training examples; None: one run."""

    @property
    def folder(self) -> str:
        return sweep_folder(self.name)

    @property
    def runs_of_trial(self) -> int:
        return self.folds or 1

    @property
    def trials_at_once(self) -> int:
        """Trials of which some run may be at work while ``parallel`` runs are."""
        return -(-self.parallel // self.runs_of_trial)

    def content(self, settings: Mapping[str, Any], *tags: str, epochs: int | None = None) -> bytes:
        """The ``parameters.json`` of a run with the ``tags``; with ``epochs`` it trains so many, and validates none.

        A schedule that warms up for as many epochs, or more, gets one after them.
        """
        from lnn.job.hyperparameters import apply_overrides

        values = {**settings, "name": self.name, "tags": [f"sweep:{self.name}", *tags]}
        if epochs is not None:
            values |= {"epochs": epochs, "validation": None, "patience": None}
        raw = apply_overrides(dict(self.parameters), [f"{key}={json.dumps(value)}" for key, value in values.items()])
        if epochs is not None:
            raw["epochs"] = max(epochs, (raw.get("schedule") or {}).get("warmup_epochs", 0) + 1)
        return json.dumps(raw).encode()


def checked(plan: Plan, dataset: Path, summary: DatasetSummary | None = None) -> Plan:
    """The plan with what it leaves open, if all of it can be done.

    Raises:
        InputError: everything that is wrong with it.
    """
    if not NAME.fullmatch(plan.name):
        raise InputError(f"the sweep's name: found {plan.name!a:.60}; expected up to 41 of a-z, 0-9 and -")
    if plan.trials < 1 or plan.trials * plan.runs_of_trial > MOST_RUNS or plan.parallel < 1:
        each = f" of {plan.folds} folds" if plan.folds else ""
        raise InputError(
            f"found {plan.trials} trials{each}, {plan.parallel} at once; expected 1 to {MOST_RUNS} runs, and 1 at least"
        )
    space = Space.parse(plan.space)
    if plan.sampler == "grid":
        if space.grid is None:
            raise InputError('a grid needs values to count: name a list for each setting, or a "step"')
        plan = replace(plan, trials=min(plan.trials, math.prod(map(len, space.grid.values()))))
    if summary is None:
        with suppress(InputError):  # told below, with what else is wrong
            summary = check_dataset(dataset)
    plan = _with_validation(plan, summary)
    if plan.folds and summary is not None:
        from lnn_client.folds import summary_of_fold

        summary = summary_of_fold(summary, plan.folds)
    for end in range(2):  # either end of everything: what lies between is as good
        ends = {
            key: json.dumps(of[-end]) if isinstance(of, list) else of[("low", "high")[end]]
            for key, of in space.raw.items()
        }
        check_training(dataset, plan.content(space.settings(ends), "trial:1"), "the parameters of a trial", summary)
    return plan


def _with_validation(plan: Plan, summary: DatasetSummary | None) -> Plan:
    """The plan with examples to compare trials by: those of the folds, of the dataset, or a share held out.

    Raises InputError where there can be no such folds.
    """
    parameters = dict(plan.parameters)
    if not plan.folds:
        if not parameters.get("validation") and not (summary is not None and summary.m_validation):
            parameters["validation"] = VALIDATION_SHARE
        return replace(plan, parameters=parameters)
    if plan.pruner != "none":
        raise InputError(
            f"folds: found {plan.folds} with the pruner {plan.pruner}; expected none: a trial is judged by all of its "
            "folds"
        )
    if "validation" in plan.space or parameters.get("validation"):
        raise InputError("folds: found validation in the parameters; expected null: the folds are what validates")
    if summary is not None:
        from lnn_client.folds import check_folds

        check_folds(summary, plan.folds)
    return replace(plan, parameters=parameters)
