"""A stop keeps every epoch that was trained, whatever S3 does meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lnn.messages import Flag, Message
from lnn.models.checkpoint import Checkpoint
from lnn.models.store import Artifacts
from lnn.runs import lease
from lnn.runs.record import Run
from lnn.strategies import session
from lnn.strategies.data_parallel.engine import Data
from lnn.strategies.fused.engine import Textbook
from lnn.strategies.neuron.trainer import Conductor
from lnn.strategies.resident.engine import Resident
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

EPOCHS = 7
STOPPED_IN = 4
"""The epoch in which a person asks for the end."""

PARAMETERS: dict[str, Any] = {
    "epochs": EPOCHS,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "batch_size": 7,
    "record_every": 3,
    "checkpoint_seconds": 1000,
}
BATCHES = 2
SESSIONS: dict[str, tuple[dict[str, Any], Any]] = {
    "fused": ({"strategy": "fused"}, Textbook),
    "resident": ({"strategy": "resident", "workers": 2}, Resident),
    "data": ({"strategy": "data", "workers": 2}, Data),
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(session, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    def start(**changes: Any) -> str:
        upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS | changes)
        assert cloud.launch(upload) == "launched"
        return upload.run_id

    return start


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def request_stop(cloud: InProcessCloud, run_id: str, epoch: int) -> None:
    """Ask for the end once the record says that ``epoch`` was reached; returns when the trainer knows."""
    until(lambda: cloud.run(run_id).epoch >= epoch)
    before = cloud.services.ledger.request_stop(run_id).heartbeat
    seen = [before]
    while len(seen) < 3:
        until(lambda: cloud.run(run_id).heartbeat != seen[-1])
        seen.append(cloud.run(run_id).heartbeat)


def stop_in_epoch(
    monkeypatch: pytest.MonkeyPatch, cloud: InProcessCloud, run_id: str, engine: Any, dies: bool = False
) -> None:
    """Request a stop in the first generation; with ``dies``, the second one is lost in epoch 2."""
    step = engine.step
    generations: list[int] = []

    def stopping(self: Any, batch: Any, t: int, *arguments: Any) -> Any:
        leads = getattr(self, "_group", None) is None or self._group.rank == 0
        if leads and t == (STOPPED_IN - 1) * BATCHES + 1 and not generations:
            generations.append(1)
            request_stop(cloud, run_id, STOPPED_IN - 1)
        if dies and leads and t == BATCHES + 1 and generations == [1] and cloud.run(run_id).generation == 2:
            generations.append(2)
            until(lambda: cloud.run(run_id).epoch == 1)
            raise RuntimeError("the second generation is lost")
        return step(self, batch, t, *arguments)

    monkeypatch.setattr(engine, "step", stopping)


def refuse(monkeypatch: pytest.MonkeyPatch, method: str, when: Callable[[str, int], bool]) -> list[int]:
    """S3 does not answer to some calls of a method; returns the generations that they were of."""
    original = getattr(Artifacts, method)
    refused: list[int] = []

    def silent(artifacts: Artifacts, run_id: str, generation: int, *arguments: Any) -> Any:
        if when(run_id, generation):
            refused.append(generation)
            raise ReadTimeoutError(endpoint_url="https://s3")
        return original(artifacts, run_id, generation, *arguments)

    monkeypatch.setattr(Artifacts, method, silent)
    return refused


def resumed(cloud: InProcessCloud, run_id: str) -> Run:
    cloud.queue.invoke_trainer(Message(run_id, cloud.services.ledger.reopen(run_id), "start"))
    return cloud.run_to_end(run_id)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("strategy", "dies"), [("fused", False), ("fused", True), ("resident", True), ("data", False)])
def test_a_stop_that_s3_does_not_take_ends_at_the_epoch_that_was_reached(
    cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch, strategy: str, dies: bool
) -> None:
    settings, engine = SESSIONS[strategy]
    run_id = launch(**settings)
    monkeypatch.setattr(session, "PATIENCE_SECONDS", 0.0)
    refused = refuse(monkeypatch, "put_checkpoint", lambda run, generation: run == run_id and generation == 1)
    stop_in_epoch(monkeypatch, cloud, run_id, engine, dies)
    run = run_to_end(cloud, run_id)
    assert refused, "the end was not stored"
    assert (run.status, run.generation) == ("STOPPED", 3 if dies else 2)
    assert run.epoch >= STOPPED_IN - 1
    assert run.reason == f"stopped on request after epoch {run.epoch}"
    assert run.final_cost == run.cost == cloud.services.ledger.history(run_id)[-1].cost
    assert run.checkpoint["epoch"] == run.epoch
    assert resumed(cloud, run_id).status == "COMPLETED"
    undisturbed = cloud.run_to_end(launch(**settings))
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id), "the row of the stop is no part of the history"


def run_to_end(cloud: InProcessCloud, run_id: str) -> Run:
    """As Lambda does it: an error of an invocation is no end."""
    for _ in range(10):
        try:
            return cloud.run_to_end(run_id)
        except (ReadTimeoutError, RuntimeError):
            continue
    raise AssertionError("errors never end")


def test_neuron_stops_where_its_parameters_are_and_not_at_its_last_checkpoint(
    cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = cloud.run_to_end(launch(strategy="neuron"))
    run_id = launch(strategy="neuron")
    refused = refuse(monkeypatch, "put_checkpoint", lambda run, generation: run == run_id and generation == 1)
    end_batch = Conductor._end_batch

    def stopping(conductor: Conductor, position: Any) -> Any:
        if position.step.epoch == STOPPED_IN and position.step.generation == 1:
            cloud.services.ledger.request_stop(run_id)
        return end_batch(conductor, position)

    monkeypatch.setattr(Conductor, "_end_batch", stopping)
    run = run_to_end(cloud, run_id)
    assert refused
    assert (run.status, run.epoch) == ("STOPPED", STOPPED_IN), run.reason
    assert resumed(cloud, run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("strategy", [*SESSIONS, "neuron"])
def test_a_generation_that_is_stopped_before_it_trains_has_the_row_of_its_checkpoint(
    cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """The checkpoint is of an epoch that ``record_every`` passes by."""
    settings = SESSIONS[strategy][0] if strategy in SESSIONS else {"strategy": strategy}
    every = cloud.run_to_end(launch(**settings, record_every=1))
    store = session.Supervisor.store

    def lost_after(supervisor: Any, state: Checkpoint, *arguments: Any) -> None:
        store(supervisor, state, *arguments)
        run_id = supervisor._run.run_id
        if (state.epoch, state.so_far.batches, cloud.run(run_id).generation) == (STOPPED_IN, 0, 1):
            cloud.services.ledger.request_stop(run_id)
            raise RuntimeError("the first generation is lost")

    request = session.Session._request

    def with_checkpoint(trainer: Any, epoch: int, done: int, legs: int) -> Flag:
        due = (epoch, done) == (STOPPED_IN, BATCHES)
        return request(trainer, epoch, done, legs) | (Flag.CHECKPOINT if due else Flag(0))

    monkeypatch.setattr(session.Supervisor, "store", lost_after)
    monkeypatch.setattr(session.Session, "_request", with_checkpoint)
    run = run_to_end(cloud, launch(**settings, checkpoint_seconds=1e-6))
    assert (run.status, run.generation, run.epoch) == ("STOPPED", 2, STOPPED_IN), run.reason
    rows = [
        (row.epoch, row.cost, row.train_accuracy, row.test_accuracy)
        for row in cloud.services.ledger.history(run.run_id)
    ]
    expected = [
        (row.epoch, row.cost, row.train_accuracy, row.test_accuracy)
        for row in cloud.services.ledger.history(every.run_id)
    ]
    assert rows == [row for row in expected if row[0] in (3, STOPPED_IN)]


def test_a_limit_ends_a_run_though_its_epochs_were_trained_before(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    """To train them again takes time and money that the run no longer has."""
    run_id = launch(strategy="fused", max_seconds=60)
    cloud.queue.messages.clear()
    ledger = cloud.services.ledger
    ledger.claim(run_id, 1, "owner")
    ledger.renew(run_id, 1, training_started_at=time.time(), trained_seconds=59.999, epoch=10, cost=0.5)
    ledger.request_stop(run_id)
    cloud.queue.invoke_trainer(Message(run_id, 2, "start"))
    run = cloud.run_to_end(run_id)
    assert (run.status, run.epoch) == ("STOPPED", 1)
    assert run.reason.startswith("max_seconds: 60.0 s used after epoch 1")
    assert run.cost == run.final_cost


@pytest.mark.parametrize("strategy", ["fused", "resident"])
def test_a_checkpoint_that_s3_does_not_take_is_stored_later_and_costs_no_generation(
    cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    run_id = launch(**SESSIONS[strategy][0], checkpoint_seconds=1e-6)
    refused = refuse(monkeypatch, "put_checkpoint", lambda run, generation: len(refused) < 3)
    run = cloud.run_to_end(run_id)
    assert len(refused) == 3
    assert (run.status, run.generation) == ("COMPLETED", 1)


@pytest.mark.parametrize("strategy", ["fused", "data"])
def test_the_end_of_a_run_waits_for_s3(
    cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    run_id = launch(**SESSIONS[strategy][0])
    refused = refuse(monkeypatch, "put_checkpoint", lambda run, generation: len(refused) < 3)
    run = cloud.run_to_end(run_id)
    assert len(refused) == 3
    assert (run.status, run.generation) == ("COMPLETED", 1)
