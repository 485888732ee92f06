"""When a run ends, and what it says of why."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lnn.runs.stopping import Ending, Totals, completed_by, diverged, stopped_by
from support.plans import plan

NOTHING_USED = Totals(seconds=0.0, epoch_seconds=0.0)


def after(epoch: int, cost: float = 0.5, totals: Totals = NOTHING_USED, stop: bool = False, **settings: Any) -> Any:
    job = plan(epochs=10, **settings)
    return completed_by(job, epoch, cost) or stopped_by(job, job.place(epoch, 0), totals, stop)


def test_an_ordinary_epoch_ends_nothing() -> None:
    assert after(3) is None


def test_the_last_epoch_completes_the_run() -> None:
    assert after(10) == Ending("COMPLETED")


@pytest.mark.parametrize("cost", [0.3, 0.29, 0.0])
def test_a_cost_at_or_below_the_threshold_completes_the_run(cost: float) -> None:
    ending = after(3, cost, threshold=0.3)
    assert ending.status == "COMPLETED"
    assert "threshold 0.3" in ending.reason
    assert "epoch 3" in ending.reason


def test_a_cost_above_the_threshold_ends_nothing() -> None:
    assert after(3, 0.3000001, threshold=0.3) is None


def test_a_threshold_reached_in_the_last_epoch_is_the_reason_given() -> None:
    assert "threshold" in after(10, 0.1, threshold=0.3).reason


def test_a_stop_on_request_keeps_the_model_and_says_after_which_epoch() -> None:
    assert after(3, stop=True) == Ending("STOPPED", "stopped on request after epoch 3")


def test_a_stop_that_comes_in_the_last_epoch_changes_nothing() -> None:
    assert after(10, stop=True) == Ending("COMPLETED")


def test_max_seconds_stops_before_the_epoch_that_would_pass_it() -> None:
    assert after(3, totals=Totals(seconds=90.0, epoch_seconds=10.0), max_seconds=100.0) is None
    ending = after(3, totals=Totals(seconds=90.1, epoch_seconds=10.0), max_seconds=100.0)
    assert ending.status == "STOPPED"
    assert "max_seconds" in ending.reason
    assert "100 s" in ending.reason


def test_max_usd_stops_before_the_epoch_that_would_pass_it() -> None:
    assert after(3, totals=Totals(0.0, 0.0, usd=0.75, epoch_usd=0.25), max_usd=1.0) is None
    ending = after(3, totals=Totals(0.0, 0.0, usd=0.75, epoch_usd=0.26), max_usd=1.0)
    assert ending.status == "STOPPED"
    assert "max_usd" in ending.reason
    assert "$1" in ending.reason


@pytest.mark.parametrize("cost", [math.nan, math.inf, -math.inf])
def test_a_cost_that_is_no_number_fails_the_run_and_names_the_learning_rate(cost: float) -> None:
    ending = diverged(7, cost, plan(learning_rate=300.0))
    assert ending is not None
    assert ending.status == "FAILED"
    assert "epoch 7" in str(ending.reason)
    assert "learning_rate (it is 300)" in str(ending.reason)


@pytest.mark.parametrize("cost", [0.0, 0.7, 1e300])
def test_a_finite_cost_has_not_diverged(cost: float) -> None:
    assert diverged(7, cost, plan()) is None
