"""The section that shows what it costs that a run can be looked at."""

from types import SimpleNamespace
from typing import Any

import pytest

from lnnbench import snapshots
from lnnbench.jobs import Job, synthetic_job
from lnnbench.marks import marks
from lnnbench.report import SECTIONS
from lnnbench.ways import Strategy

EPOCHS = 4


@pytest.fixture
def job(tmp_path) -> Job:
    return synthetic_job(tmp_path, "test", 60, 12, [5, 3], test_examples=20, learning_rate=0.1)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains nothing: an epoch takes 10 ms, the first one of a run 500, and with ``snapshots`` 2% more."""
    trained: list[Strategy] = []

    def measure(way: Strategy, scratch: Any) -> dict[str, Any]:
        trained.append(way)
        return {"run_id": len(trained) - 1, "ms_per_epoch": 99.0}

    def history(number: int) -> list[Any]:
        usual = 0.0102 if trained[number].changes["snapshots"] else 0.01
        return [SimpleNamespace(seconds=seconds) for seconds in (0.5, usual, usual, 7.0)]

    monkeypatch.setattr(Strategy, "measure", measure)
    return SimpleNamespace(trained=trained, ledger=SimpleNamespace(history=history))


def section(cloud: Any, job: Job, tmp_path: Any, rounds: int) -> dict[str, Any]:
    pairs = [snapshots.Pair(job, strategy, EPOCHS) for strategy in ("fused", "neuron")]
    return {"rounds": rounds, "rows": snapshots.overhead(cloud, pairs, rounds, tmp_path, patience=0)}


def test_both_settings_are_measured_in_turn_and_neither_is_always_first(cloud, job, tmp_path):
    section(cloud, job, tmp_path, rounds=2)
    settings = [(way.strategy, way.epochs, way.changes["snapshots"]) for way in cloud.trained]
    of_one = [("fused", 2, 60), *(("fused", EPOCHS, setting) for setting in (60, 0, 0, 60))]
    assert settings == of_one + [("neuron", *rest) for _, *rest in of_one]


def test_the_overhead_is_that_of_usual_epochs_and_has_a_mark(cloud, job, tmp_path):
    found = section(cloud, job, tmp_path, rounds=6)
    assert [row["overhead_percent"] for row in found["rows"]] == pytest.approx([2, 2])
    assert [row["interval_percent"] for row in found["rows"]] == [pytest.approx([2, 2])] * 2
    told = [(mark["bound"], mark["met"], mark["remark"]) for mark in marks({"snapshots": found})]
    assert told == [(3, True, "with 95% confidence +2.0 to +2.0%")] * 2


def test_few_rounds_have_no_bounds(cloud, job, tmp_path):
    found = section(cloud, job, tmp_path, rounds=5)
    assert {row["interval_percent"] for row in found["rows"]} == {None}
    assert {mark["remark"] for mark in marks({"snapshots": found})} == {"too few rounds for bounds"}
    assert any(line.endswith("| +2.0% |  |") for line in SECTIONS["snapshots"](found))


def test_the_report_has_a_row_for_each_training(cloud, job, tmp_path):
    lines = list(SECTIONS["snapshots"](section(cloud, job, tmp_path, rounds=6)))
    assert "| test | fused | 4 | 10.2 | 10 | +2.0% | +2.0 to +2.0% |" in lines
    assert "| test | neuron | 4 | 10.2 | 10 | +2.0% | +2.0 to +2.0% |" in lines


@pytest.mark.parametrize(("count", "bounds"), [(5, None), (6, (0, 5)), (20, (5, 14))])
def test_the_bounds_of_a_median_are_those_of_the_sign_test(count, bounds):
    assert snapshots.interval([float(value) for value in reversed(range(count))]) == bounds


def test_the_jobs_are_the_cats_and_the_digits_with_a_neuron_each_and_in_one_function(job):
    for quick in (True, False):
        found = [(pair.job.name, pair.strategy) for pair in snapshots.pairs(job, quick=quick)]
        assert found == [(name, strategy) for name in ("test", "digits") for strategy in ("fused", "neuron")]
    assert snapshots.digits_job().dataset.is_file()
