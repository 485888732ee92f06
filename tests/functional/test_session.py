"""The supervisor at the moments between its steps: when another generation takes over, and when a run ends."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lnn.names import params_key
from lnn.network import Tally
from lnn.runs.store import Ledger
from lnn.strategies.engine import StepResult
from lnn.strategies.fused.engine import Textbook
from lnn.strategies.resident.engine import Resident
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 4,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "strategy": "fused",
}


def launched(cloud: InProcessCloud, folder: Path, **changes: Any) -> str:
    upload = cloud.upload(tiny_dataset(folder / "d.h5"), PARAMETERS | changes)
    assert cloud.launch(upload) == "launched"
    return upload.run_id


def test_a_generation_that_is_superseded_before_the_end_leaves_no_model(
    cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launched(cloud, tmp_path, batch_size=5)
    test_tally = Textbook.test_tally
    calls = []

    def taken_over(engine: Textbook) -> Tally:
        calls.append(engine)
        if len(calls) == PARAMETERS["epochs"]:
            ledger = cloud.services.ledger
            assert ledger.claim(run_id, 2, "another")
            assert ledger.finish(run_id, 2, "STOPPED", "stopped by the successor")
        return test_tally(engine)

    monkeypatch.setattr(Textbook, "test_tally", taken_over)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("STOPPED", 2)
    with pytest.raises(ClientError, match="NoSuchKey"):
        cloud.read(params_key(run_id))


def test_the_history_and_the_cost_of_a_run_that_diverges_are_written_before_its_end(
    cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launched(cloud, tmp_path)
    step, finish = Textbook.step, Ledger.finish
    at_end = []

    def diverging(engine: Textbook, batch: Any, t: int, *arguments: Any) -> StepResult:
        result = step(engine, batch, t, *arguments)
        return StepResult(float("nan"), result.seen) if t == 4 else result

    def finishing(ledger: Ledger, *arguments: Any, **facts: Any) -> Any:
        at_end.append([row.epoch for row in ledger.history(run_id)])
        return finish(ledger, *arguments, **facts)

    monkeypatch.setattr(Textbook, "step", diverging)
    monkeypatch.setattr(Ledger, "finish", finishing)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.epoch) == ("FAILED", 3)
    assert at_end == [[1, 2, 3]]
    assert run.cost == cloud.services.ledger.history(run_id)[-1].cost


@pytest.mark.parametrize(("strategy", "engine"), [("fused", Textbook), ("resident", Resident)])
def test_a_limit_that_one_more_epoch_would_pass_ends_a_run_after_its_first(
    cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, engine: Any
) -> None:
    workers = {"workers": 1} if strategy == "resident" else {}
    run_id = launched(cloud, tmp_path, strategy=strategy, batch_size=3, max_seconds=8.5, **workers)
    step, monotonic = engine.step, time.monotonic
    seconds = [0.0]

    def second_by_second(*arguments: Any) -> StepResult:
        seconds[0] += 1
        return step(*arguments)

    monkeypatch.setattr(engine, "step", second_by_second)
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + seconds[0])
    run = cloud.run_to_end(run_id)
    assert (run.status, run.epoch) == ("STOPPED", 1), run.reason
