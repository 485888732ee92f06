"""Waiting for capacity is no attempt: a run that Lambda does not let run goes on once it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lnn import train
from lnn.aws import invoker
from lnn.aws.invoker import Invoker
from lnn.errors import Throttled
from lnn.messages import Message
from lnn.parameter_server import process_group
from lnn.runs import starvation
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 2,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}
WORKERS = 3

Launch = Callable[[str], str]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing worker is missed within a second."""
    monkeypatch.setattr(process_group, "BLOCK_SECONDS", 0.1)
    monkeypatch.setattr(process_group, "JOIN_SECONDS", 0.5)


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Launch:
    """Uploads a small job and launches it; returns the run's id."""
    dataset = tiny_dataset(tmp_path / "d.h5")

    def start(strategy: str) -> str:
        workers = {} if strategy == "neuron" else {"workers": WORKERS}
        upload = cloud.upload(dataset, {**PARAMETERS, "strategy": strategy, **workers})
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        return upload.run_id

    return start


def only_trainers(cloud: InProcessCloud) -> None:
    """Deliver the messages to the Trainer; those to Neurons find no capacity and are lost."""
    while cloud.queue.messages:
        function, message = cloud.queue.messages.pop(0)
        if function == "trainer":
            cloud.deliver(function, message)


def watch(cloud: InProcessCloud, run_id: str) -> None:
    cloud.let_leases_expire(run_id)
    train.handle(cloud.services, Message("", 0, "watch"), lambda: 60.0)


@pytest.mark.parametrize("strategy", ["neuron", "resident", "data"])
def test_minutes_without_any_capacity_use_up_no_attempt(strategy: str, cloud: InProcessCloud, launch: Launch) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch(strategy)).run_id)
    run_id = launch(strategy)
    cloud.queue.neuron_throttled = True
    for _ in range(12):
        only_trainers(cloud)
        watch(cloud, run_id)
    run = cloud.run(run_id)
    assert (run.status, run.generation) == ("RUNNING", 12)
    assert run.attempts is not None
    assert run.attempts["count"] == 1
    told = [event["what"] for event in run.events if event["what"].startswith("waiting for capacity")]
    assert told == ["waiting for capacity: Lambda has no capacity"]
    cloud.queue.neuron_throttled = False
    run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("strategy", ["resident", "data"])
def test_a_group_that_never_got_all_of_its_workers_is_no_attempt(
    strategy: str, cloud: InProcessCloud, launch: Launch
) -> None:
    run_id = launch(strategy)
    cloud.neuron_concurrency = WORKERS - 1
    deadline = time.monotonic() + 60
    while cloud.run(run_id).generation < 7:
        assert time.monotonic() < deadline
        messages, cloud.queue.messages = cloud.queue.messages, []
        for function, message in messages:
            cloud.deliver(function, message)
        if cloud.running():
            cloud.workers[0].join(0.02)
    run = cloud.run(run_id)
    assert run.status == "RUNNING"
    assert run.attempts is not None
    assert run.attempts["count"] == 1
    cloud.neuron_concurrency = None
    assert cloud.run_to_end(run_id).status == "COMPLETED"


def test_a_layer_whose_neurons_arrive_one_by_one_makes_progress(cloud: InProcessCloud, launch: Launch) -> None:
    run_id = launch("neuron")
    for _ in range(8):
        function, message = cloud.queue.messages.pop(0)
        while function == "trainer":
            cloud.deliver(function, message)
            function, message = cloud.queue.messages.pop(0)
        cloud.deliver(function, message)
        cloud.queue.messages = [sent for sent in cloud.queue.messages if sent[0] == "trainer"]
        watch(cloud, run_id)
    assert cloud.run(run_id).generation >= 6
    assert cloud.run(run_id).status == "RUNNING"
    assert cloud.run_to_end(run_id).status == "COMPLETED"


def test_a_run_that_has_no_capacity_for_hours_fails_with_the_cure(
    cloud: InProcessCloud, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch("resident")
    cloud.queue.neuron_throttled = True
    for _ in range(2):
        only_trainers(cloud)
        watch(cloud, run_id)
    monkeypatch.setattr(starvation, "LONGEST_SECONDS", 0.0)
    monkeypatch.setattr(train, "LONGEST_SECONDS", 0.0)
    only_trainers(cloud)
    run = cloud.run(run_id)
    assert run.status == "FAILED"
    assert run.reason is not None
    assert run.reason.startswith("the Neuron had no capacity for")
    assert "raise its reserved concurrency" in run.reason


class ThrottlingLambda:
    """A client of Lambda that has no capacity."""

    def invoke(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded"}}, "Invoke")


def test_an_invocation_that_is_throttled_for_long_is_told_from_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoker, "WAKING_SECONDS", 0.0)
    monkeypatch.setattr(invoker, "WAKING_POLL_SECONDS", 0.0)
    functions = Invoker(ThrottlingLambda(), "trainer", "neuron")  # type: ignore[arg-type]
    for invoke in (functions.invoke_trainer, functions.try_neuron):
        with pytest.raises(Throttled, match="Rate Exceeded"):
            invoke(Message("run", 1, "start"))


def test_a_trainer_that_may_invoke_no_neuron_for_the_moment_tells_no_fault(
    cloud: InProcessCloud, launch: Launch
) -> None:
    run_id = launch("resident")

    def throttle(function: str, _: Message) -> None:
        if function == "neuron":
            raise Throttled("Lambda has no capacity")

    cloud.queue.fault = throttle
    cloud.queue.neuron_throttled = True
    for _ in range(8):
        only_trainers(cloud)
        watch(cloud, run_id)
    run = cloud.run(run_id)
    assert (run.status, run.fault) == ("RUNNING", None)
    cloud.queue.fault, cloud.queue.neuron_throttled = None, False
    assert cloud.run_to_end(run_id).status == "COMPLETED"
