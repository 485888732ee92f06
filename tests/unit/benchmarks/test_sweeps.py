"""The benchmark of sweeps: all sides try the same settings on the same examples, and the marks say who is behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import sweeps

CHEAP = {sweeps.RATE: [0.0001, 0.01], sweeps.UNITS: [8]}
BEST = {sweeps.RATE: 0.01, sweeps.UNITS: 8}


@pytest.fixture(scope="module")
def examples() -> sweeps.Examples:
    return sweeps.digits()


class CannedCloud:
    """Answers as ``lnn sweep --json`` does, and keeps what it was asked."""

    def __init__(self, *trials: tuple[float, dict[str, Any]]) -> None:
        self.trials, self.asked = trials, []

    def lnn(self, *arguments: str) -> Any:
        self.asked = list(arguments)
        return {"trials": [{"validation_cost": cost, "settings": settings} for cost, settings in self.trials]}


def test_there_are_thirty_settings_and_fewer_when_asked() -> None:
    assert len(sweeps.settings_of(sweeps.SPACE)) == 30
    for trials in (1, 2, 7, 30):
        space = sweeps.first_settings(trials)
        assert 1 <= len(sweeps.settings_of(space)) <= trials
        assert all(set(values) <= set(sweeps.SPACE[name]) for name, values in space.items())


@pytest.mark.parametrize("side", sweeps.SIDES[1:])
def test_scikit_learn_tries_the_settings_of_the_space(examples: sweeps.Examples, side: str) -> None:
    found = sweeps.with_scikit_learn(side, examples, CHEAP, epochs=2)
    assert found["trials"] == 2
    assert found["best"][0]["settings"] == BEST
    assert 0 < found["best"][0]["cost"] < found["best"][1]["cost"]


def test_both_sides_have_the_same_examples(examples: sweeps.Examples, tmp_path: Path) -> None:
    dataset, parameters = sweeps.write_job(tmp_path, examples, epochs=3)
    with h5py.File(dataset) as file:
        np.testing.assert_array_equal(file["train_set_x"][:], examples.X)
        np.testing.assert_array_equal(file["validation_set_x"][:], examples.X_validation)
        np.testing.assert_array_equal(file["validation_set_y"][:], examples.y_validation)
    assert json.loads(parameters.read_text())["epochs"] == 3
    assert len(examples.y) + len(examples.y_validation) + len(examples.y_test) == 1797


def test_lnn_sweeps_the_whole_grid_and_the_lowest_cost_is_the_best(tmp_path: Path) -> None:
    cloud = CannedCloud((0.5, {sweeps.RATE: 0.0001, sweeps.UNITS: 8}), (0.3, BEST))
    found = sweeps.with_lnn(cloud, tmp_path / "d.h5", tmp_path / "p.json", CHEAP, 4)  # type: ignore[arg-type]
    assert found["best"][0] == {"cost": 0.3, "settings": BEST}
    asked = dict(zip(cloud.asked[2::2], cloud.asked[3::2], strict=False))
    assert (asked["--sampler"], asked["--trials"], asked["--parallel"]) == ("grid", "2", "4")
    assert json.loads(Path(asked["--space"]).read_text()) == CHEAP


def test_on_aws_a_sweep_takes_as_long_as_its_slowest_trial_after_the_starts() -> None:
    found = sweeps.on_aws([10.0, 10.0, 12.0])
    assert found["sweep"] == pytest.approx(12.0 + 3 * sweeps.REQUESTS * sweeps.REQUEST_SECONDS)
    assert found["ratio"] == pytest.approx(found["sweep"] / 10)


def test_the_cost_model_has_a_time_for_each_setting(examples: sweeps.Examples, tmp_path: Path) -> None:
    dataset, parameters = sweeps.write_job(tmp_path, examples, epochs=30)
    seconds = sweeps.trial_seconds(dataset, parameters, {sweeps.UNITS: [8, 256]})
    assert 0 < seconds[0] < seconds[1]


def a_round(ours: float, theirs: float, same: bool = True) -> dict[str, Any]:
    best = [{"cost": 0.1, "settings": BEST}]
    other = best if same else [{"cost": 0.1, "settings": CHEAP}]
    sides = zip(sweeps.SIDES, (ours, theirs, theirs), (best, other, other), strict=True)
    return {side: {"seconds": seconds, "best": found} for side, seconds, found in sides}


@pytest.mark.parametrize(
    ("rounds", "ratio", "met"),
    [
        ([a_round(1.0, 2.0)], 2.5, [True, True, True, True]),
        ([a_round(3.0, 2.0)], 3.5, [False, False, True, False]),
        ([a_round(1.0, 2.0), a_round(1.0, 2.0, same=False)], 1.0, [True, True, False, True]),
    ],
)
def test_a_mark_is_missed_by_who_is_slower_or_finds_another_setting(
    rounds: list[dict[str, Any]], ratio: float, met: list[bool]
) -> None:
    assert [mark.met for mark in sweeps.marks(rounds, {"ratio": ratio})] == met
