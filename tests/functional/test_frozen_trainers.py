"""A Trainer that is frozen at a write, and wakes when its successors have ended the run, changes nothing any more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lnn import train
from lnn.messages import Message
from lnn.runs.record import Run
from support.crashes import POINTS
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 5,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "record_every": 2,
    "checkpoint_seconds": 1e-6,
    "strategy": "fused",
}


class Freezer:
    """Stops the first call of a function in its thread, until it is thawed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
        owner, name = POINTS[point]
        original: Callable[..., Any] = getattr(owner, name)
        self.frozen, self._thawed, self.done = threading.Event(), threading.Event(), threading.Event()

        def call(*arguments: Any, **named: Any) -> Any:
            if self.frozen.is_set():
                return original(*arguments, **named)
            self.frozen.set()
            assert self._thawed.wait(60)
            try:
                return original(*arguments, **named)
            finally:
                self.done.set()

        monkeypatch.setattr(owner, name, call)

    def thaw(self) -> None:
        self._thawed.set()
        assert self.done.wait(60)


def seen(cloud: InProcessCloud, run_id: str) -> tuple[Any, ...]:
    """All that people get to see of a run, and the keys that its record names."""
    latest = cloud.s3.get_object(Bucket=NAMES.bucket, Key="prediction_input/params.h5")["Body"].read()
    return cloud.outcome(run_id), asdict(cloud.run(run_id)), latest


def stopped_and_resumed(cloud: InProcessCloud, run_id: str) -> Run:
    cloud.services.ledger.request_stop(run_id)
    cloud.queue.invoke_trainer(Message(run_id, 2, "start"))
    run = cloud.run_to_end(run_id)
    if run.status == "COMPLETED":  # every epoch had been trained: none is left to stop before
        return run
    cloud.queue.invoke_trainer(Message(run_id, cloud.services.ledger.reopen(run_id), "start"))
    return cloud.run_to_end(run_id)


def taken_over(cloud: InProcessCloud, run_id: str) -> Run:
    cloud.queue.invoke_trainer(Message(run_id, 2, "start"))
    return cloud.run_to_end(run_id)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("point", ["record", "checkpoint", "renew", "model", "finish"])
@pytest.mark.parametrize("successor", [taken_over, stopped_and_resumed])
def test_a_trainer_that_wakes_after_the_end_changes_nothing(
    cloud: InProcessCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    point: str,
    successor: Callable[[InProcessCloud, str], Run],
) -> None:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS)
    assert cloud.launch(upload) == "launched"
    run_id = upload.run_id
    cloud.queue.messages.clear()
    freezer = Freezer(monkeypatch, point)
    start = Message(run_id, 1, "start")
    zombie = threading.Thread(target=train.handle, args=(cloud.services, start, lambda: 900.0))
    zombie.start()
    assert freezer.frozen.wait(60)
    run = successor(cloud, run_id)
    assert (run.status, run.epoch) == ("COMPLETED", 5)
    before = seen(cloud, run_id)
    assert [row[0] for row in before[0][1]] == [2, 4, 5]
    freezer.thaw()
    zombie.join(60)
    assert not zombie.is_alive()
    assert seen(cloud, run_id) == before
