"""Between two batches of an epoch: checkpoints, hand-overs and stops, and the same bits after all of them."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from lnn.messages import Message
from lnn.parameter_server import process_group
from lnn.strategies import session
from lnn.strategies.data_parallel.engine import Data
from lnn.strategies.deadline import Deadline
from lnn.strategies.fused import engine as fused
from lnn.strategies.neuron import trainer
from lnn.strategies.resident.engine import Resident
from support.crashes import Killed, killed
from support.inprocess_cloud import Chaos, InProcessCloud, tiny_dataset

pytestmark = [
    pytest.mark.usefixtures("_datasets_are_checked_in_this_process"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "optimizer": "momentum",
    "batch_size": 3,
    "l2": 0.1,
}
BATCHES = 5
"""Of an epoch: 13 examples in threes."""
WAYS: dict[str, dict[str, Any]] = {
    "fused": {"strategy": "fused", "optimizer": "adam"},
    "example space": {"strategy": "fused"},
    "resident": {"strategy": "resident", "workers": 3, "optimizer": "adam"},
    "data": {"strategy": "data", "workers": 3},
    "data, all updates everywhere": {"strategy": "data", "workers": 2},
    "local sgd": {"strategy": "data", "workers": 3, "average_every": 2},
    "neuron": {"strategy": "neuron"},
}
FUSED = ["fused", "example space"]
GANGS = ["resident", "data", "data, all updates everywhere", "local sgd"]
EVERY_BATCH = 1e-6
"""``checkpoint_seconds`` for a checkpoint after each batch, however long storing one takes."""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing worker is missed within a second."""
    monkeypatch.setattr(process_group, "BLOCK_SECONDS", 0.1)
    monkeypatch.setattr(process_group, "JOIN_SECONDS", 1.0)
    monkeypatch.setattr(process_group, "PATIENCE_SECONDS", 1.0)


@pytest.fixture(autouse=True)
def _storing_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a checkpoint that takes longer than a batch would put the next one off."""
    monkeypatch.setattr(Deadline, "saving", lambda self: nullcontext())


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    """Uploads a small job and launches it; returns the run's id."""

    def start(way: str, **changes: Any) -> str:
        dataset = tiny_dataset(tmp_path / "d.h5", features=600 if way == "example space" else 5)
        upload = cloud.upload(dataset, {**PARAMETERS, **WAYS[way], **changes})
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        return upload.run_id

    return start


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How often each update is done, by number from 1; by one worker of several."""
    done: Counter[int] = Counter()
    for engine in (fused.Textbook, fused.InExampleSpace, Resident, Data):
        original = engine.step

        def step(self: Any, *given: Any, original: Callable[..., Any] = original) -> Any:
            done[given[1]] += getattr(self, "_group", None) is None or self._group.rank == 1
            return original(self, *given)

        monkeypatch.setattr(engine, "step", step)
    return done


@pytest.mark.parametrize("way", FUSED)
@pytest.mark.parametrize(("after", "countdown"), [(False, 1), (False, 7), (True, 3), (True, 9)])
def test_fused_killed_within_an_epoch_goes_on_from_the_batch(
    way: str, after: bool, countdown: int, cloud: InProcessCloud, launch: Callable[..., str], updates: Counter[int]
) -> None:
    undisturbed = cloud.run_to_end(launch(way, checkpoint_seconds=1000))
    assert undisturbed.plan["formulation"] == ("plain" if way == "fused" else "example_space")
    updates.clear()
    run_id = launch(way, checkpoint_seconds=EVERY_BATCH)
    with killed("checkpoint", after, countdown):
        cloud.run_to_end(run_id)
    saved = cloud.run(run_id).checkpoint
    assert (saved["epoch"], saved.get("batches", 0)) == divmod(countdown - 1, BATCHES)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    assert updates == Counter(range(1, 3 * BATCHES + 1)) + Counter([countdown]), "one batch is repeated"


@pytest.mark.parametrize("way", GANGS)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_group_that_loses_a_worker_within_an_epoch_goes_on_from_the_batch(
    way: str,
    rank: int,
    cloud: InProcessCloud,
    launch: Callable[..., str],
    updates: Counter[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed = cloud.run_to_end(launch(way, checkpoint_seconds=1000))
    updates.clear()
    run_id = launch(way, checkpoint_seconds=EVERY_BATCH)
    engine = Resident if way == "resident" else Data
    alive: Callable[..., Any] = engine.step

    def die(self: Any, batch: Any, t: int, *given: Any) -> Any:
        if self._group.rank == rank and t == BATCHES + 4 and self._group._claim.startswith("1-"):
            raise SystemExit  # as if killed: it says good-bye to nobody
        return alive(self, batch, t, *given)

    monkeypatch.setattr(engine, "step", die)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    assert set(updates) == set(range(1, 3 * BATCHES + 1))
    leg = WAYS[way].get("average_every", 1)
    assert sum(updates.values()) <= 3 * BATCHES + leg, "nothing before the checkpoint is repeated"
    assert cloud.keys() == []


@pytest.mark.parametrize(("way", "generations"), [("fused", 10), ("example space", 15), ("data", 10), ("local sgd", 6)])
def test_a_run_is_handed_over_within_an_epoch(
    way: str, generations: int, cloud: InProcessCloud, launch: Callable[..., str], updates: Counter[int]
) -> None:
    epochs = 3 if way == "example space" else 2
    undisturbed = cloud.run_to_end(launch(way, epochs=epochs))
    updates.clear()
    run_id = launch(way, epochs=epochs)
    cloud.invocation_seconds = 0.9  # less than is kept for handing over
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", generations)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    assert updates == Counter(range(1, epochs * BATCHES + 1)), "nothing is repeated"
    told = [event["what"] for event in run.events]
    assert "generation 2 hands over after epoch 0 and 2 of the 5 batches of epoch 1" in told or way == "local sgd"
    assert cloud.keys() == []


def test_neuron_goes_back_to_the_batch_when_redis_loses_everything(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    undisturbed = cloud.run_to_end(launch("neuron"))
    run_id = launch("neuron", checkpoint_seconds=EVERY_BATCH)
    chaos = Chaos(0)
    while cloud.run(run_id).checkpoint.get("batches", 0) < 3:
        chaos.deliver_one(cloud)
    cloud.redis.flushall()
    run = cloud.run_to_end(run_id)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    extra = run.invocations - undisturbed.invocations
    assert 0 < extra <= 2 * (5 + 2), "less than a batch was repeated"


@pytest.mark.parametrize("way", WAYS)
def test_a_long_epoch_is_stopped_between_two_batches_and_resumes_to_the_same_bits(
    way: str, cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = 3 if way == "example space" else 2
    undisturbed = cloud.run_to_end(launch(way, epochs=epochs))
    monkeypatch.setattr(session, "LONG_EPOCH_SECONDS", -1.0)
    monkeypatch.setattr(trainer, "RENEWAL_SECONDS", 0.0)
    run_id = launch(way, max_seconds=1e-6, epochs=epochs)
    reasons = []
    while (run := cloud.run_to_end(run_id)).status == "STOPPED":
        reasons.append(run.reason)
        assert run.artifacts["params"]
        cloud.queue.invoke_trainer(Message(run_id, cloud.services.ledger.reopen(run_id), "start"))
    assert run.status == "COMPLETED"
    assert len(reasons) == epochs * (3 if way == "local sgd" else BATCHES) - 1
    assert any("after epoch 1 and 3 of the 5 batches of epoch 2; one more would pass" in reason for reason in reasons)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)


def test_a_short_epoch_is_stopped_at_its_end(cloud: InProcessCloud, launch: Callable[..., str]) -> None:
    for way in WAYS:
        run = cloud.run_to_end(launch(way, max_seconds=1e-6))
        assert (run.status, run.epoch, run.checkpoint["batches"]) == ("STOPPED", 1, 0), way


def test_a_run_without_a_batch_position_in_its_record_goes_on(
    cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch("fused")).run_id)
    run_id = launch("fused", checkpoint_seconds=EVERY_BATCH)
    with killed("checkpoint", after=False, countdown=BATCHES + 1):
        cloud.run_to_end(run_id)
    saved = cloud.run(run_id).checkpoint
    before = {"epoch": saved["epoch"], "key": saved["key"]}
    cloud.services.ledger.renew(run_id, 1, checkpoint=before, attempts={"epoch": 1, "count": 1})
    assert cloud.run_to_end(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("way", ["fused", "data"])
def test_a_batch_that_is_longer_than_the_time_limit_fails_the_run_with_what_to_change(
    way: str, cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch(way)
    cloud.invocation_seconds = 0.3

    def outlive_the_limit(*_: Any) -> None:
        time.sleep(0.4)
        raise Killed if way == "fused" else SystemExit

    monkeypatch.setattr(fused.Textbook, "step", outlive_the_limit)
    monkeypatch.setattr(Data, "step", outlive_the_limit)
    for _ in range(20):
        try:
            run = cloud.run_to_end(run_id)
        except Killed:
            continue
        break
    assert run.status == "FAILED"
    left = re.search(r"the time limit \((\S+) s were left at the start\) came before the data was loaded", run.reason)
    assert left
    assert 0 <= float(left[1]) <= cloud.invocation_seconds
    assert "set a smaller batch_size" in run.reason
