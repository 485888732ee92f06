"""Whoever was frozen while others went on, and whatever key Redis loses or sets back: the run ends in the same bits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from lnn import train
from lnn.errors import CacheLost
from lnn.messages import Message
from lnn.models.store import Artifacts
from lnn.parameter_server.barrier import Barrier
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.server import ParameterServer
from lnn.runs import finalize
from lnn.runs.record import EpochRow
from lnn.runs.store import Ledger
from lnn.strategies.neuron import neuron, trainer
from support.freezes import Frozen
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

EPOCHS = 8
PARAMETERS: dict[str, Any] = {
    "epochs": EPOCHS,
    "layers": 2,
    "neurons": {"layer1": 2, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "optimizer": "momentum",
    "strategy": "neuron",
}

Launch = Callable[..., str]


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Launch:
    """Launches a run; its start message waits in the queue."""
    dataset = tiny_dataset(tmp_path / "made.h5")

    def launched(**changes: Any) -> str:
        upload = cloud.upload(dataset, PARAMETERS | changes)
        assert cloud.launch(upload) == "launched"
        return upload.run_id

    return launched


@pytest.fixture(scope="module")
def known() -> list[Any]:
    return []


@pytest.fixture
def expected(cloud: InProcessCloud, launch: Launch, known: list[Any]) -> Any:
    """The model and the history of an undisturbed run; the same for all tests, which disturb one like it."""
    if not known:
        known.append(cloud.outcome(cloud.run_to_end(launch()).run_id))
    return known[0]


def take(cloud: InProcessCloud, function: str, **wanted: Any) -> Message:
    """Deliver messages in their order until one of this description is next, which is taken from the queue."""
    for _ in range(1000):
        assert cloud.queue.messages, f"no message to the {function} with {wanted}"
        to, message = cloud.queue.messages.pop(0)
        if to == function and all(getattr(message, name) == value for name, value in wanted.items()):
            return message
        cloud.deliver(to, message)
    raise AssertionError("the messages never end")


def position(cloud: InProcessCloud, run_id: str) -> Any:
    return Barrier(cloud.services.server(run_id)).position()


def next_generation(cloud: InProcessCloud, run_id: str) -> None:
    """The lease runs out, and the watch sends the start of the next generation."""
    cloud.let_leases_expire(run_id)
    cloud.deliver("trainer", Message("", 0, "watch"))


# Frozen Trainers


@pytest.mark.parametrize("puts", [2, 3, 8])
def test_who_fills_the_parameter_server_too_late_changes_nothing(
    cloud: InProcessCloud, launch: Launch, expected: Any, puts: int
) -> None:
    run_id = launch()
    start = take(cloud, "trainer", state="start")
    frozen = Frozen(lambda: cloud.deliver("trainer", start), cloud.redis, "set", nth=puts)
    next_generation(cloud, run_id)
    at_work = take(cloud, "trainer", state="backward", epoch=5, layer=1)
    frozen.thaw()
    cloud.deliver("trainer", at_work)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == expected
    assert [key for key in cloud.redis.scan_iter() if cloud.redis.ttl(key) < 0] == []


@pytest.mark.parametrize("stop_at", [(Barrier, "reserve"), (Barrier, "open"), (Ledger, "go_back"), (Barrier, "adopt")])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_who_begins_too_late_changes_nothing(
    cloud: InProcessCloud, launch: Launch, expected: Any, stop_at: tuple[type, str], after: bool
) -> None:
    run_id = launch(checkpoint_seconds=1e-6)
    if stop_at[1] == "adopt":
        take(cloud, "trainer", state="backward", epoch=3, layer=1)
        next_generation(cloud, run_id)
    start = take(cloud, "trainer", state="start")
    frozen = Frozen(lambda: cloud.deliver("trainer", start), *stop_at, after=after)
    next_generation(cloud, run_id)
    at_work = take(cloud, "trainer", state="backward", epoch=6, layer=1)
    frozen.thaw()
    cloud.deliver("trainer", at_work)
    assert cloud.run_to_end(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == expected


LATE: list[tuple[Any, str, bool]] = [
    (Ledger, "renew", False),
    (Ledger, "renew", True),
    (EpochRow, "of", False),
    (trainer.metrics, "recorded", False),
    (Artifacts, "put_checkpoint", False),
    (Artifacts, "put_checkpoint", True),
    (Barrier, "advance", False),
]


@pytest.mark.parametrize("stop_at", LATE, ids=lambda point: f"{point[1]} {'after' if point[2] else 'before'}")
def test_who_ends_an_epoch_six_epochs_too_late_notes_nothing_of_a_later_one(
    cloud: InProcessCloud, launch: Launch, expected: Any, stop_at: tuple[Any, str, bool]
) -> None:
    run_id = launch(checkpoint_seconds=1e-6)
    message = take(cloud, "trainer", state="backward", epoch=1, layer=1)
    owner, name, after = stop_at
    frozen = Frozen(lambda: cloud.deliver("trainer", message), owner, name, after=after)
    cloud.deliver("trainer", message)
    at_work = take(cloud, "trainer", state="backward", epoch=7, layer=1)
    before = cloud.run(run_id)
    frozen.thaw()
    assert frozen.raised is None
    after_thaw = cloud.run(run_id)
    assert (after_thaw.epoch, after_thaw.cost, after_thaw.checkpoint) == (before.epoch, before.cost, before.checkpoint)
    # What the run goes on from is the checkpoint alone.
    cloud.redis.flushall()
    cloud.deliver("trainer", at_work)
    assert cloud.run_to_end(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == expected


def test_who_wakes_with_a_stop_request_of_earlier_does_not_end_a_run_that_has_gone_on(
    cloud: InProcessCloud, launch: Launch, expected: Any
) -> None:
    run_id = launch()
    message = take(cloud, "trainer", state="backward", epoch=2, layer=1)
    ended = pytest.MonkeyPatch()
    with ended.context() as limits:
        limits.setattr(trainer.Supervisor, "ending", lambda *_: train.Ending("STOPPED", "max_seconds, for a test"))
        frozen = Frozen(lambda: cloud.deliver("trainer", message), Ledger, "finish")
    cloud.deliver("trainer", message)
    at_work = take(cloud, "trainer", state="backward", epoch=5, layer=1)
    frozen.thaw()
    cloud.deliver("trainer", at_work)
    assert cloud.run_to_end(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("late", [(neuron, "forward"), (neuron, "backward")], ids=["forward", "backward"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_neuron_that_wakes_when_its_fill_is_gone_asks_for_nothing(
    cloud: InProcessCloud, launch: Launch, expected: Any, late: tuple[Any, str], after: bool
) -> None:
    run_id = launch()
    message = take(cloud, "neuron", state=late[1], epoch=2, layer=1, neuron=1)
    frozen = Frozen(lambda: cloud.deliver("neuron", message), *late, after=after)
    cloud.redis.delete(cloud.services.server(run_id).path("step"))  # so that the next generation fills anew
    next_generation(cloud, run_id)
    take(cloud, "neuron", state="forward", epoch=2, layer=1)
    frozen.thaw()
    next_generation(cloud, run_id)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation, frozen.raised) == ("COMPLETED", 3, None)
    assert cloud.outcome(run_id) == expected


# The end


def test_the_late_clean_up_of_an_ended_run_leaves_the_resumed_one_its_keys(
    cloud: InProcessCloud, launch: Launch, expected: Any
) -> None:
    run_id = launch()
    message = take(cloud, "trainer", state="backward", epoch=2, layer=1)
    cloud.services.ledger.request_stop(run_id)
    frozen = Frozen(lambda: cloud.deliver("trainer", message), finalize, "emptied_parameter_server")
    assert cloud.run(run_id).status == "STOPPED"
    cloud.queue.invoke_trainer(Message(run_id, cloud.services.ledger.reopen(run_id), "start"))
    at_work = take(cloud, "trainer", state="forward", epoch=4, layer=2)
    keys = set(cloud.keys())
    frozen.thaw()
    assert {key for key in keys if b"2-" in key or key.endswith((b":step", b":arrivals"))} <= set(cloud.keys())
    assert not [key for key in cloud.redis.scan_iter() if b":fill:1-" in key]
    cloud.deliver("trainer", at_work)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == expected
    assert cloud.keys() == []


# Lost answers


@pytest.fixture
def lose_answer(cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Loses the answer to the script, or command, of the ``nth`` call of a method; redis-py sends that again."""

    def lose(owner: type, name: str, command: str = "EVALSHA", nth: int = 1) -> list[str]:
        original, parse = getattr(owner, name), cloud.redis.parse_response
        calls, armed, lost = [0], threading.Event(), list[str]()

        def calling(*arguments: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == nth:
                armed.set()
            return original(*arguments, **named)

        def parse_response(connection: Any, command_name: str, **options: Any) -> Any:
            answer = parse(connection, command_name, **options)
            if command_name == command and armed.is_set():
                armed.clear()
                lost.append(name)
                raise redis.ConnectionError("the answer is lost, for a test")
            return answer

        monkeypatch.setattr(owner, name, calling)
        monkeypatch.setattr(cloud.redis, "parse_response", parse_response)
        return lost

    return lose


@pytest.mark.parametrize(("name", "nth"), [("reserve", 1), ("open", 1), ("arrive", 2), ("advance", 1), ("advance", 7)])
def test_who_loses_the_answer_to_a_write_goes_on_with_it(
    cloud: InProcessCloud, launch: Launch, expected: Any, lose_answer: Callable[..., list[str]], name: str, nth: int
) -> None:
    run_id = launch()
    lost = lose_answer(Barrier, name, nth=nth)
    run = cloud.run_to_end(run_id)
    assert lost == [name]
    assert (run.status, run.generation) == ("COMPLETED", 1)
    assert cloud.outcome(run_id) == expected


def test_who_loses_the_answer_to_an_adoption_goes_on_with_what_it_has_adopted(
    cloud: InProcessCloud, launch: Launch, expected: Any, lose_answer: Callable[..., list[str]]
) -> None:
    run_id = launch()
    take(cloud, "trainer", state="backward", epoch=3, layer=1)
    fill = position(cloud, run_id).step.fill
    next_generation(cloud, run_id)
    lost = lose_answer(Barrier, "adopt")
    cloud.deliver("trainer", take(cloud, "trainer", state="start"))
    assert lost == ["adopt"]
    step = position(cloud, run_id).step
    assert (step.generation, step.epoch, step.fill) == (2, 4, fill)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == expected


def test_who_advances_as_another_has_done_before_is_refused(
    cloud: InProcessCloud, launch: Launch, expected: Any
) -> None:
    """The same change by somebody else is no write of one's own: a step is dispatched once."""
    run_id = launch()
    message = take(cloud, "trainer", state="forward", epoch=2, layer=1)
    frozen = Frozen(lambda: cloud.deliver("trainer", message), Barrier, "advance")
    cloud.deliver("trainer", message)
    sent = list(cloud.queue.messages)
    frozen.thaw()
    assert cloud.queue.messages == sent
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 1)
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("strategy", ["resident", "data"])
def test_a_worker_that_loses_the_answer_to_its_joining_has_joined(
    cloud: InProcessCloud, launch: Launch, lose_answer: Callable[..., list[str]], strategy: str
) -> None:
    run_id = launch(strategy=strategy, workers=2)
    lost = lose_answer(ProcessGroup, "join", command="SET")
    run = cloud.run_to_end(run_id)
    assert lost == ["join"]
    assert (run.status, run.generation) == ("COMPLETED", 1)


# Single keys

KEYS = ["step", "arrivals", "plan|", "X|", "W1.a|", "W1.b|", "W1.a.0|", "b2.a|", "b2.b|", "A1|", "Z2|", "dZ1|", "dZ2|"]
MOMENTS: list[dict[str, Any]] = [
    {"state": "forward", "layer": 2},
    {"state": "backward", "layer": 1},
    {"state": "backward", "layer": 2},
]


def one_of(client: redis.Redis, name: str) -> bytes:
    (path,) = [path for path in client.scan_iter() if path.rpartition(b":")[2].startswith(name.encode())]
    return path


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("age", ["lost", "steps old", "an epoch old"])
def test_a_single_key_that_redis_loses_or_sets_back_changes_no_weight(
    cloud: InProcessCloud, launch: Launch, expected: Any, name: str, age: str
) -> None:
    run_id = launch(checkpoint_seconds=1e-6)
    # The arrivals are there between two neurons of a step.
    who = {"function": "neuron", "neuron": 1} if name == "arrivals" else {"function": "trainer"}
    where = {"state": "backward", "layer": 1} if name == "arrivals" else MOMENTS[KEYS.index(name) % len(MOMENTS)]
    old = None
    if age != "lost":
        before = {"epoch": 3} if age == "an epoch old" else {"epoch": 4, "state": "forward", "layer": 1}
        passed = take(cloud, **who, **where | before)
        old = cloud.redis.dump(one_of(cloud.redis, name))
        cloud.deliver(who["function"], passed)
    message = take(cloud, **who, **where | {"epoch": 4})
    path = one_of(cloud.redis, name)
    cloud.redis.delete(path)
    if old is not None:
        cloud.redis.restore(path, 60_000, old)
    neuron._inputs.clear()
    neuron._plans.clear()
    cloud.deliver(who["function"], message)
    run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected
    assert cloud.keys() == []


def test_a_failover_that_loses_the_last_writes_ends_in_the_same_bits(
    cloud: InProcessCloud, launch: Launch, expected: Any
) -> None:
    run_id = launch(checkpoint_seconds=1e-6)
    passed = take(cloud, "trainer", state="backward", epoch=3, layer=2)
    old = {path: cloud.redis.dump(path) for path in cloud.redis.scan_iter()}
    cloud.deliver("trainer", passed)
    message = take(cloud, "trainer", state="forward", epoch=5, layer=1)
    cloud.redis.flushall()
    for path, value in old.items():
        cloud.redis.restore(path, 60_000, value)
    cloud.deliver("trainer", message)
    assert cloud.run_to_end(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == expected


# Keys' lives


def test_the_keys_of_a_run_at_work_live_on_however_rare_its_checkpoints_are(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch(checkpoint_seconds=86_400)
    monkeypatch.setattr(trainer, "KEEPING_SECONDS", 0.0)
    message = take(cloud, "trainer", state="forward", epoch=3, layer=1)
    for path in cloud.redis.scan_iter():
        cloud.redis.expire(path, 600)
    cloud.deliver("trainer", message)
    assert [path for path in cloud.redis.scan_iter() if cloud.redis.ttl(path) <= 600] == []
    assert cloud.run_to_end(run_id).generation == 1


# An upgrade


def test_a_run_whose_keys_an_earlier_release_has_named_goes_on_from_its_checkpoint(
    cloud: InProcessCloud, launch: Launch, expected: Any
) -> None:
    """Its step's id names no fill, and its tensors lie under the run's own prefix."""
    run_id = launch(checkpoint_seconds=1e-6)
    message = take(cloud, "neuron", state="backward", epoch=4, layer=1, neuron=0)
    step = position(cloud, run_id).step
    server = cloud.services.server(run_id)
    cloud.redis.hset(server.path("step"), "id", f"{step.generation}:4:0:backward:1")
    for path in cloud.redis.scan_iter("*:fill:*"):
        cloud.redis.rename(path, server.path(path.rpartition(b":")[2].decode()))
    cloud.deliver("neuron", message)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == expected
    assert cloud.keys() == []


# Wide layers


def test_a_dispatch_that_takes_long_renews_the_lease(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "RENEWAL_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "DISPATCHED_AT_ONCE", 2)
    launch(neurons={"layer1": 7, "layer2": 1})
    start = take(cloud, "trainer", state="start")
    renewals: list[int] = []
    renew = Ledger.renew

    def counted(*arguments: Any, **named: Any) -> Any:
        renewals.append(len(cloud.queue.messages))
        return renew(*arguments, **named)

    monkeypatch.setattr(Ledger, "renew", counted)
    cloud.deliver("trainer", start)
    assert [sent for sent in renewals if sent] == [2, 4, 6]
    assert len(cloud.queue.messages) == 7


def test_the_neurons_of_a_wide_layer_renew_the_lease_while_they_are_at_work(
    cloud: InProcessCloud, launch: Launch
) -> None:
    run_id = launch(neurons={"layer1": 5, "layer2": 1})
    path = cloud.services.server(run_id).path("step")
    for number in range(5):
        message = take(cloud, "neuron", state="forward", layer=1, neuron=number)
        cloud.let_leases_expire(run_id)
        if number % 2:
            cloud.redis.hset(path, "renewed_at", "1.5")
        cloud.deliver("neuron", message)
        assert (cloud.run(run_id).lease_expires == 1) == (number % 2 == 0)
    assert cloud.run_to_end(run_id).status == "COMPLETED"


def test_a_neuron_that_may_not_renew_the_lease_has_done_its_work_all_the_same(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch()
    message = take(cloud, "neuron", state="forward", layer=1, neuron=0)
    cloud.redis.hset(cloud.services.server(run_id).path("step"), "renewed_at", "1.5")

    def away(*_: Any, **__: Any) -> Any:
        raise CacheLost("for a test")

    with monkeypatch.context() as broken:
        broken.setattr(Ledger, "renew", away)
        cloud.deliver("neuron", message)
    assert position(cloud, run_id).arrived == 1
    assert cloud.run_to_end(run_id).generation == 1


def test_the_probe_of_a_parameter_server_leaves_nothing(cloud: InProcessCloud) -> None:
    server: ParameterServer = cloud.services.server("run")
    assert server.takes_writes()
    assert cloud.keys() == []
