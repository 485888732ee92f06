"""A stepped run waits at each barrier for a person, whatever goes wrong, and ends in the bits of one that does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lnn import train
from lnn.errors import RunStateError
from lnn.job.pauses import WAITING_SECONDS, Pauses
from lnn.messages import Message
from lnn.parameter_server.barrier import Barrier
from lnn.parameter_server.server import KEY_LIFETIME_SECONDS
from lnn.runs.record import Run
from lnn.runs.store import LEASE_SECONDS
from lnn.runs.watchdog import CLOCKS_DIFFER_SECONDS
from lnn.strategies.neuron import stepping, trainer
from lnn.strategies.neuron.trainer import KEEPING_SECONDS
from lnn_client.cloud import Cloud
from lnn_client.invocations import Recorded
from lnn_client.stepping import next_step, request_stop, waits_at
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 2,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "optimizer": "momentum",
}
OF_EPOCH = ["forward 1", "forward 2", "cost 2", "backward 2", "backward 1"]
VARIANTS: list[dict[str, Any]] = [{}, {"batch_size": 7, "clip_norm": 0.05}, {"checkpoint_seconds": 1e-6}]

Launch = Callable[..., str]


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Launch:
    """Launches a stepped run; its start message waits in the queue."""
    dataset = tiny_dataset(tmp_path / "made.h5")

    def launched(**changes: Any) -> str:
        upload = cloud.upload(dataset, PARAMETERS | {"step": True} | changes)
        assert cloud.launch(upload) == "launched"
        return upload.run_id

    return launched


class Person:
    """Whoever presses Next: the client's functions, on a cloud whose messages wait in the queue."""

    def __init__(self, cloud: InProcessCloud, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud, self.run_id = cloud, run_id
        monkeypatch.setattr("lnn.aws.invoker.Invoker", lambda *_: cloud.queue)
        self.client = cast(
            "Cloud",
            SimpleNamespace(ledger=cloud.services.ledger, functions=None, names=NAMES),
        )

    def press(self, count: int = 1, **options: Any) -> Run:
        return next_step(self.client, self.run_id, count, **options)

    def settle(self) -> Run:
        """Deliver what is under way; returns the run, which waits or has ended."""
        while self.cloud.queue.messages:
            self.cloud.deliver(*self.cloud.queue.messages.pop(0))
        return self.cloud.run(self.run_id)

    def to_end(self) -> Run:
        run = self.settle()
        while not run.has_ended:
            assert run.is_paused
            self.press()
            run = self.settle()
        return run


@pytest.fixture
def person(cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(cloud, launch(), monkeypatch)


def place(run: Run) -> str:
    assert run.is_paused
    assert run.paused is not None
    return f"{run.paused['after']} {run.paused['layer']}"


def watch_after(cloud: InProcessCloud, seconds: float, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Message]]:
    """What the watch sends when it runs so many seconds from now; it stays in the queue."""
    now, before = time.time(), len(cloud.queue.messages)
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: now + seconds)
        train.handle(cloud.services, Message("", 0, "watch"), lambda: 60.0)
    return cloud.queue.messages[before:]


@pytest.mark.parametrize("variant", VARIANTS)
def test_step_by_step_through_two_epochs_to_the_bits_of_a_run_that_does_not_wait(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch, variant: dict[str, Any]
) -> None:
    plain = launch(step=False, strategy="neuron", **variant)
    assert cloud.run_to_end(plain).status == "COMPLETED"
    stepped = launch(**variant)
    person, seen = Person(cloud, stepped, monkeypatch), []
    run = person.settle()
    assert run.strategy == "neuron"
    while not run.has_ended:
        seen.append(place(run))
        person.press()
        run = person.settle()
    assert run.status == "COMPLETED"
    assert cloud.outcome(stepped) == cloud.outcome(plain)
    pauses = Pauses.of(run.plan or {})
    assert len(seen) == 2 * pauses.per_epoch
    if not variant:
        assert seen == 2 * OF_EPOCH


def test_a_paused_run_says_what_was_done_and_what_comes_next(person: Person) -> None:
    told = []
    for _ in range(6):
        run = person.settle()
        told.append(waits_at(run))
        person.press()
    cost = person.cloud.services.ledger.history(person.run_id)[0].cost
    assert told == [
        {"done": "epoch 1: layer 1 forward has been computed: 3 neurons", "next": "layer 2 forward"},
        {"done": "epoch 1: layer 2 forward has been computed: 1 neuron", "next": "the cost"},
        {"done": f"epoch 1: the cost has been computed: {cost:.6g}", "next": "layer 2 backward"},
        {
            "done": "epoch 1: layer 2 backward has been computed: 1 neuron has its gradient and its next weights",
            "next": "layer 1 backward",
        },
        {
            "done": (
                "epoch 1: layer 1 backward has been computed: 3 neurons have their gradients and their next weights"
            ),
            "next": "the end of epoch 1, and layer 1 forward of epoch 2",
        },
        {"done": "epoch 2: layer 1 forward has been computed: 3 neurons", "next": "layer 2 forward"},
    ]


def test_two_presses_are_two_steps_and_a_repeated_request_is_one(person: Person) -> None:
    person.settle()
    person.press(expected=0)
    person.press(expected=0)
    assert place(person.settle()) == "forward 2"
    person.press(expected=1)
    person.press(expected=2)
    assert place(person.settle()) == "backward 2"
    person.press()
    person.press()
    assert person.settle().paused == {**(person.settle().paused or {}), "epoch": 2, "after": "forward", "layer": 1}


def test_several_steps_and_whole_epochs_at_once(person: Person) -> None:
    person.settle()
    person.press(3)
    assert place(person.settle()) == "backward 2"
    person.press(epochs=1)
    run = person.settle()
    assert (place(run), run.epoch) == ("forward 1", 1)
    person.press(epochs=1)
    assert person.settle().status == "COMPLETED"


def test_duplicates_of_any_message_are_no_step(person: Person) -> None:
    person.settle()
    for expected in OF_EPOCH[1:]:
        person.press()
        while person.cloud.queue.messages:
            function, message = person.cloud.queue.messages.pop(0)
            person.cloud.deliver(function, message)
            person.cloud.deliver(function, message)
        assert place(person.settle()) == expected


def test_an_invocation_that_is_lost_is_sent_again_by_the_watch(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    before = person.settle()
    person.press()
    person.cloud.queue.messages.clear()
    assert watch_after(person.cloud, LEASE_SECONDS - 2, monkeypatch) == []
    assert watch_after(person.cloud, LEASE_SECONDS + 1, monkeypatch) == [
        ("trainer", Message(person.run_id, before.generation + 1, "start"))
    ]
    assert place(person.settle()) == "forward 2"


def test_a_run_that_gets_from_one_pause_to_the_next_makes_progress_however_often_it_is_taken_over(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = {"layer1": 3, "layer2": 2, "layer3": 1}
    kinds = {"layer1": "tanh", "layer2": "tanh", "layer3": "sigmoid"}
    person = Person(cloud, launch(layers=3, neurons=deep, activations=kinds), monkeypatch)
    person.settle()
    for taken in range(1, train.ATTEMPTS_WITHOUT_PROGRESS + 2):
        person.press()
        cloud.queue.messages.clear()
        watch_after(cloud, LEASE_SECONDS + 1, monkeypatch)
        run = person.settle()
        assert (run.is_paused, run.generation, run.epoch) == (True, taken + 1, 0)


def test_an_invocation_that_is_lost_is_sent_again_with_the_same_request(person: Person) -> None:
    person.settle()
    person.press(expected=0)
    person.cloud.queue.messages.clear()
    person.press(expected=0)
    assert place(person.settle()) == "forward 2"


@pytest.mark.parametrize("at", range(len(OF_EPOCH)))
def test_redis_that_is_lost_while_the_run_waits_costs_no_step(
    person: Person, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.settle()
    for _ in range(at):
        person.press()
        person.settle()
    person.cloud.redis.flushall()
    assert watch_after(person.cloud, LEASE_SECONDS + 1, monkeypatch) == []
    person.press()
    run = person.settle()
    assert place(run) == (*OF_EPOCH, "forward 1")[at + 1]
    assert run.paused is not None
    assert run.paused["number"] == at + 2
    assert person.to_end().status == "COMPLETED"


@pytest.mark.parametrize("point", ["before it waits", "before it advances", "after it has advanced"])
def test_a_trainer_that_is_killed_costs_no_step(person: Person, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    person.settle()
    person.press(2)
    killed: list[str] = []

    class Killed(BaseException):
        pass

    def kill(*_: Any, **__: Any) -> None:
        killed.append(point)
        raise Killed

    where: dict[str, tuple[Any, str]] = {
        "before it waits": (type(person.cloud.services.ledger), "pause"),
        "before it advances": (Barrier, "advance"),
        "after it has advanced": (trainer.Conductor, "_dispatch"),
    }
    owner, name = where[point]
    with monkeypatch.context() as once:
        once.setattr(owner, name, kill)
        while not killed:
            function, message = person.cloud.queue.messages.pop(0)
            try:
                person.cloud.deliver(function, message)
            except Killed:
                assert function == "trainer"
    person.cloud.queue.messages.clear()
    watch_after(person.cloud, LEASE_SECONDS + 1, monkeypatch)
    assert place(person.settle()) == "cost 2"
    assert person.to_end().status == "COMPLETED"


def test_the_watch_leaves_a_waiting_run_alone_for_half_an_hour_and_then_stops_it_with_its_model(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(cloud, launch(epochs=3), monkeypatch)
    person.settle()
    person.press(6)
    waiting = person.settle()
    assert watch_after(person.cloud, LEASE_SECONDS * 10, monkeypatch) == []
    assert watch_after(person.cloud, WAITING_SECONDS - 10, monkeypatch) == []
    assert watch_after(person.cloud, WAITING_SECONDS + 1, monkeypatch) == [("trainer", waiting.message_at_pause)]
    ended = person.settle()
    assert (ended.status, ended.epoch) == ("STOPPED", 2)
    assert ended.artifacts is not None


@pytest.mark.parametrize(
    ("seconds", "acts"), [(-CLOCKS_DIFFER_SECONDS + 10, False), (-CLOCKS_DIFFER_SECONDS - 10, True)]
)
def test_a_clock_that_is_minutes_behind_stops_no_run_that_waits(
    person: Person, seconds: float, acts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.settle()
    assert bool(watch_after(person.cloud, seconds, monkeypatch)) == acts


def test_a_forgotten_run_says_why_it_stopped_and_can_be_resumed_without_steps(
    person: Person, cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = launch(step=False, strategy="neuron")
    assert cloud.run_to_end(plain).status == "COMPLETED"
    person.settle()
    person.press()
    person.settle()
    watch_after(cloud, WAITING_SECONDS + 1, monkeypatch)
    ended = person.settle()
    assert (ended.status, ended.epoch, ended.closing) == ("STOPPED", 1, False)
    assert ended.reason == "stopped after epoch 1: nobody asked for the next step for 30 minutes"
    assert ended.artifacts is not None
    generation = cloud.services.ledger.reopen(person.run_id, step=False)
    cloud.queue.invoke_trainer(Message(person.run_id, generation, "start"))
    assert person.settle().status == "COMPLETED"
    assert cloud.outcome(person.run_id) == cloud.outcome(plain)


def test_the_watch_stops_a_forgotten_run_though_its_message_is_lost_and_redis_too(
    person: Person, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.settle()
    watch_after(cloud, WAITING_SECONDS + 1, monkeypatch)
    cloud.queue.messages.clear()
    cloud.redis.flushall()
    cloud.let_leases_expire(person.run_id)
    watch_after(cloud, 0, monkeypatch)
    ended = person.settle()
    assert (ended.status, ended.epoch) == ("STOPPED", 0)
    assert ended.reason == "stopped after epoch 0: nobody asked for the next step for 30 minutes"


def test_a_forgotten_run_that_is_resumed_may_wait_as_long_again(
    person: Person, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with monkeypatch.context() as earlier:
        earlier.setattr(time, "time", lambda: now - WAITING_SECONDS - 60)
        waiting = person.settle()
    assert watch_after(cloud, 0, monkeypatch) == [("trainer", waiting.message_at_pause)]
    cloud.queue.messages.clear()
    cloud.redis.flushall()
    cloud.let_leases_expire(person.run_id)
    watch_after(cloud, 0, monkeypatch)
    assert person.settle().status == "STOPPED"
    generation = cloud.services.ledger.reopen(person.run_id)
    cloud.queue.invoke_trainer(Message(person.run_id, generation, "start"))
    assert place(person.settle()) == "forward 1"
    assert watch_after(cloud, WAITING_SECONDS - 60, monkeypatch) == []


def test_a_press_that_comes_before_the_watch_acts_keeps_the_run_going(
    person: Person, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = person.settle()
    person.press()
    assert cloud.services.ledger.stop_waiting(waiting, "too late") is None
    assert place(person.settle()) == "forward 2"


def test_a_run_that_waits_is_stopped_on_request_after_its_epoch(person: Person) -> None:
    person.settle()
    person.press()
    person.settle()
    request_stop(person.client, person.run_id)
    with pytest.raises(RunStateError, match="it is asked to stop"):
        person.press()
    ended = person.settle()
    assert (ended.status, ended.reason) == ("STOPPED", "stopped on request after epoch 1")
    with pytest.raises(RunStateError, match="it is STOPPED"):
        person.press()


def test_a_stop_that_nobody_tells_the_trainer_is_carried_out_by_the_watch(
    person: Person, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.settle()
    cloud.services.ledger.request_stop(person.run_id)
    watch_after(cloud, LEASE_SECONDS + 1, monkeypatch)
    assert person.settle().status == "STOPPED"


def test_a_stopped_run_goes_on_step_by_step(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(cloud, launch(epochs=3), monkeypatch)
    person.settle()
    person.press(epochs=1)
    person.settle()
    request_stop(person.client, person.run_id)
    assert person.settle().status == "STOPPED"
    generation = cloud.services.ledger.reopen(person.run_id)
    cloud.queue.invoke_trainer(Message(person.run_id, generation, "start"))
    assert place(person.settle()) == "forward 1"
    assert person.to_end().status == "COMPLETED"


def test_a_run_that_was_not_stepped_is_stepped_once_it_is_resumed_so(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(cloud, launch(step=False, strategy="neuron", epochs=3), monkeypatch)
    with pytest.raises(RunStateError, match="goes on by itself"):
        person.press()
    while cloud.run(person.run_id).epoch < 1:
        cloud.deliver(*cloud.queue.messages.pop(0))
    cloud.services.ledger.request_stop(person.run_id)
    assert person.settle().status == "STOPPED"
    generation = cloud.services.ledger.reopen(person.run_id, step=True)
    cloud.queue.invoke_trainer(Message(person.run_id, generation, "start"))
    run = person.settle()
    assert (place(run), run.settings["step"]) == ("forward 1", True)
    assert person.to_end().status == "COMPLETED"


def test_only_a_run_of_single_neurons_can_be_resumed_with_steps(cloud: InProcessCloud, launch: Launch) -> None:
    run_id = launch(step=False, strategy="fused")
    cloud.services.ledger.request_stop(run_id)
    assert cloud.run_to_end(run_id).status == "STOPPED"
    with pytest.raises(RunStateError, match="its strategy is fused, and only neuron waits at barriers"):
        cloud.services.ledger.reopen(run_id, step=True)


def test_waiting_is_no_time_of_training(person: Person, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    person.settle()
    key = f"lnn:{{{person.run_id}}}:step"
    waited = 0.0
    for _ in range(len(OF_EPOCH)):
        paused_at = float(cloud.redis.hget(key, "paused_at") or 0)
        opened_at = float(cloud.redis.hget(key, "opened_at") or 0)
        # As if both had been ten minutes earlier.
        started = {name: float(cloud.redis.hget(key, name) or 0) - 600 for name in stepping.MOVED}
        cloud.redis.hset(key, mapping={"paused_at": paused_at - 600, "opened_at": opened_at - 600, **started})
        waited += 600
        person.press()
        person.settle()
    (row,) = cloud.services.ledger.history(person.run_id)
    assert row.seconds < 600 < waited
    assert (cloud.run(person.run_id).trained_seconds or 0) < 600


def test_every_look_of_the_trainer_is_counted_and_in_the_timeline_while_the_run_waits(
    person: Person, cloud: InProcessCloud
) -> None:
    reader: Any = SimpleNamespace(s3=cloud.s3, names=NAMES)
    person.settle()
    person.press()
    person.settle()
    told = [(one.role, one.state, one.layer) for one in Recorded(reader, person.run_id).new()]
    assert told == [
        ("trainer", "start", None),
        *[("neuron", "forward", 1)] * 3,
        ("trainer", "forward", 1),  # it waits
        ("trainer", "forward", 1),  # it goes on
        ("neuron", "forward", 2),
        ("trainer", "forward", 2),
    ]
    ended = person.to_end()
    neurons, steps = 4, 4
    start_and_launch = 2
    pauses = len(OF_EPOCH)
    assert ended.invocations == start_and_launch + 2 * (2 * neurons + steps + pauses)
    assert len(Recorded(reader, person.run_id).new()) == ended.invocations - 1


def test_the_keys_of_a_waiting_run_live_longer_than_it_waits() -> None:
    assert KEEPING_SECONDS + WAITING_SECONDS < KEY_LIFETIME_SECONDS / 2
