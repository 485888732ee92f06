"""A sweep with folds: a run for each fold of each trial, their mean, and a last training of the best setting."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lnn.errors import InputError
from lnn.job.hyperparameters import parse_settings
from lnn.names import Names
from lnn.runs.record import Run
from lnn_client import sweeps
from lnn_client.sweep_plan import Plan, checked
from lnn_client.sweeps import Sweep

FOLDS, TRIALS = 3, 4
RATES = [0.1, 0.4, 0.2, 0.3]
"""Of the trials. A trial's cost is its learning rate, more in the first fold and less in the last."""
OFFSETS = {"1": 0.03, "2": 0.0, "3": -0.03}
PARAMETERS = {"epochs": 9, "layers": 1, "neurons": {"layer1": 1}, "activations": {"layer1": "sigmoid"}, "patience": 4}
USD = 0.5


class Killed(Exception):
    """The driver's process ends here."""


class Bucket:
    """A deployment: each copy of a dataset begins a run, which ends at the second look at it."""

    def __init__(self, most: int = 1_000, fails: str = "", stops: str = "") -> None:
        self.names = Names("lnn", "123456789012", "us-east-1")
        self.s3 = self.ledger = self.dynamodb = self
        self.most, self.fails, self.stops = most, fails, stops
        self.parameters: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, str] = {}
        self.looks: dict[str, int] = {}
        self.most_at_once = 0
        self.registered: list[str] = []

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key.endswith(".h5") and Key not in self.looks:
            raise ClientError({"Error": {"Code": "404", "Message": ""}}, "HeadObject")
        return {"ContentLength": 1}

    def put_object(self, Key: str, Body: bytes, **_: Any) -> dict[str, Any]:
        self.parameters[Key.removesuffix("parameters.json")] = json.loads(Body)
        return {}

    def copy_object(self, CopySource: Any, Key: str, **_: Any) -> None:
        if len(self.looks) == self.most:
            raise Killed
        assert Key not in self.looks, "run twice"
        self.looks[Key], self.sources[Key] = 0, CopySource["Key"]

    def copy(self, CopySource: Any, Bucket: str, Key: str) -> None:
        self.registered.append(CopySource["Key"])

    def get_item(self, Key: Any, **_: Any) -> dict[str, Any]:
        run = self.get_run(Key["run_id"]["S"])
        return {"Item": {"run_id": {"S": run.run_id}, "status": {"S": run.status}}}

    def get_paginator(self, _: str) -> Bucket:
        return self

    def paginate(self, **_: Any) -> list[Any]:
        return [{"Items": [{"run_id": {"S": key}, "dataset_key": {"S": key}} for key in self.looks]}]

    def get_run(self, key: str) -> Run:
        self.most_at_once = max(self.most_at_once, sum(looks < 2 for looks in self.looks.values()))
        self.looks[key] += 1
        settings = self.parameters[key.removesuffix("datasets.h5")]
        facts = {"dataset_key": key, "settings": {"keep": "best", **settings}, "epochs": settings["epochs"]}
        if self.looks[key] < 2:
            return Run(key, "RUNNING", estimate={"usd": USD}, **facts)
        if self.fails and self.fails in key:
            return Run(key, "FAILED", **facts)
        fold = dict(tag.split(":") for tag in settings["tags"]).get("fold")
        if fold is None:
            return Run(key, "COMPLETED", usd=USD, **facts)
        cost = settings["learning_rate"] + OFFSETS[fold]
        status = "STOPPED" if self.stops and self.stops in key else "COMPLETED"
        best = 3 + int(fold)  # epochs 4, 5 and 6
        return Run(key, status, validation_cost=cost, best_epoch=best, usd=USD, **facts)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps.time, "sleep", lambda _: None)


def plan_of(**changes: Any) -> Plan:
    told = {"trials": TRIALS, "parallel": 2, "sampler": "grid", "folds": FOLDS, **changes}
    fixed = {"space": {"learning_rate": RATES}, "parameters": {**PARAMETERS, "learning_rate": 0.1}}
    return Plan("s", **{**fixed, **told})


def driven(bucket: Bucket, tell: Callable[[Sweep], object] = lambda _: None, **changes: Any) -> Sweep:
    sweep = Sweep(bucket, plan_of(**changes))  # type: ignore[arg-type]
    sweep.run(tell)
    sweep.register_best()
    return sweep


def test_a_trial_is_a_run_for_each_fold_and_its_value_their_mean() -> None:
    bucket = Bucket()
    sweep = driven(bucket)
    assert [trial.state for trial in sweep.trials] == ["complete"] * TRIALS
    for trial, rate in zip(sweep.trials, RATES, strict=True):
        assert [run.fold for run in trial.runs] == [1, 2, 3]
        assert trial.value == pytest.approx(rate)
        assert trial.spread == pytest.approx(0.03 * (2 / 3) ** 0.5)
        assert trial.run_id is None
        for run in trial.runs:
            tags = [f"trial:{trial.number}", f"fold:{run.fold}"]
            assert bucket.parameters[run.folder]["tags"] == ["sweep:s", *tags]
            assert bucket.sources[f"{run.folder}datasets.h5"] == f"training_input/sweep-s/fold-{run.fold}"
    assert len(bucket.looks) == TRIALS * FOLDS + 1


def test_the_best_setting_alone_is_trained_with_all_examples_and_registered() -> None:
    bucket = Bucket()
    sweep = driven(bucket)
    best, refit = sweep.best(), sweep.refit
    assert best is not None
    assert refit is not None
    assert (best.number, refit.folder) == (1, "training_input/sweep-s/refit-0001/")
    settings = bucket.parameters[refit.folder]
    assert settings["learning_rate"] == RATES[0]
    assert settings["epochs"] == 5  # the mean of 4, 5 and 6
    assert settings["validation"] is settings["patience"] is None
    assert bucket.sources[f"{refit.folder}datasets.h5"] == "training_input/sweep-s/dataset"
    assert bucket.registered == [f"prediction_input/{refit.run_id}/params.h5"]


def test_a_notebook_shows_the_trials_with_their_spread_the_best_first() -> None:
    sweep = driven(Bucket())
    table = sweep.table()
    assert table.columns == ["trial", "state", "validation_cost", "spread", "costs", "learning_rate"]
    assert table["learning_rate"].to_list() == sorted(RATES)
    assert table["costs"][0].to_list() == pytest.approx([0.13, 0.1, 0.07])
    assert "spread" in sweep._repr_html_()


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
@pytest.mark.parametrize("parallel", [1, 2, 5])
def test_runs_are_limited_and_a_killed_driver_changes_nothing(sampler: str, parallel: int) -> None:
    undisturbed = Bucket()
    whole = driven(undisturbed, sampler=sampler, parallel=parallel)
    assert undisturbed.most_at_once <= parallel
    bucket = Bucket()
    for most in range(1, TRIALS * FOLDS + 1, 4):
        bucket.most = most
        with pytest.raises(Killed):
            driven(bucket, sampler=sampler, parallel=parallel)
    bucket.most = 1_000
    again = driven(bucket, sampler=sampler, parallel=parallel)
    assert [(trial.settings, trial.value) for trial in again.trials] == [
        (trial.settings, trial.value) for trial in whole.trials
    ]
    assert bucket.looks.keys() == undisturbed.looks.keys()
    assert again.refit is not None
    assert whole.refit is not None
    assert again.refit.folder == whole.refit.folder


@pytest.mark.parametrize(
    ("faults", "state"), [({"fails": "0001-fold-2"}, "failed"), ({"stops": "0001-fold-2"}, "pruned")]
)
def test_a_trial_with_a_fold_that_has_failed_or_was_stopped_is_not_the_best(faults: Any, state: str) -> None:
    sweep = driven(Bucket(**faults))
    assert sweep.trials[0].state == state
    best = sweep.best()
    assert best is not None
    assert best.number == 3


def test_the_last_training_that_fails_leaves_nothing_to_register() -> None:
    bucket = Bucket(fails="refit")
    sweep = driven(bucket)
    assert sweep.refit is not None
    assert bucket.registered == []
    assert sweep.register_best() is None


@pytest.mark.parametrize(("budget", "trials", "runs"), [(2.3, 1, 4), (6.0, 3, 10), (100.0, TRIALS, 13)])
def test_the_budget_counts_runs_and_keeps_one_for_the_last_training(budget: float, trials: int, runs: int) -> None:
    """A run costs half a dollar, that of all examples half as much more."""
    bucket = Bucket()
    sweep = driven(bucket, max_usd=budget, parallel=1)
    assert len([trial for trial in sweep.trials if trial.state == "complete"]) == trials
    assert len(bucket.looks) == runs
    assert (sweep.ended_early is None) == (trials == TRIALS)
    assert len(bucket.registered) == 1


def test_a_budget_that_ends_within_a_trial_leaves_it_without_a_value() -> None:
    bucket = Bucket()
    sweep = driven(bucket, max_usd=0.9, parallel=1)
    assert [(trial.state, trial.value) for trial in sweep.trials] == [("pruned", None)]
    assert (len(bucket.looks), bucket.registered, sweep.best()) == (1, [], None)


@pytest.mark.parametrize(("folds", "runs"), [(None, 4), (FOLDS, 4)])
def test_a_sweep_that_goes_on_has_all_runs_that_were_begun_whatever_they_have_cost(
    folds: int | None, runs: int
) -> None:
    """They began before anything was known of their cost, which is beyond the budget."""

    def dies(_: Sweep) -> None:
        raise Killed

    bucket = Bucket()
    told = {"folds": folds, "parallel": runs, "max_usd": 0.9, "trials": TRIALS}
    with pytest.raises(Killed):
        driven(bucket, dies, **told)
    assert len(bucket.looks) == runs
    again = driven(bucket, **told)
    assert sum(len(trial.runs) for trial in again.trials) == runs
    assert all(run.has_ended for trial in again.trials for run in trial.runs)


@pytest.mark.parametrize("in_space", [False, True])
def test_the_last_training_has_an_epoch_after_those_that_warm_up(in_space: bool) -> None:
    bucket = Bucket()
    warmup = {} if in_space else {"warmup_epochs": 7}
    fixed = {**PARAMETERS, "learning_rate": 0.1, "schedule": {"kind": "cosine", **warmup}}
    space = {"learning_rate": RATES} | ({"schedule.warmup_epochs": [7]} if in_space else {})
    sweep = driven(bucket, parameters=fixed, space=space)
    assert sweep.refit is not None
    settings = bucket.parameters[sweep.refit.folder]
    assert settings["epochs"] == 8  # the folds were best at 5, in the mean
    parse_settings(json.dumps(settings))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"pruner": "median"}, "found 3 with the pruner median"),
        ({"parameters": {**PARAMETERS, "learning_rate": 0.1, "validation": 0.2}}, "found validation"),
        ({"space": {"validation": [0.1, 0.2]}}, "found validation"),
        ({"trials": 400}, "found 400 trials of 3 folds"),
    ],
)
def test_what_does_not_go_with_folds_is_refused(changes: dict[str, Any], problem: str, tmp_path: Any) -> None:
    fixed = {"name": "s", "space": {"learning_rate": [0.1]}, "parameters": PARAMETERS, "trials": 2, "folds": FOLDS}
    with pytest.raises(InputError, match=problem):
        checked(Plan(**{**fixed, **changes}), tmp_path / "nothing.h5")
