"""Faults that repeating does not heal: the run ends with cause and cure, and goes on once the cause is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lnn import train
from lnn.errors import NonRetryable
from lnn.messages import Message
from lnn.parameter_server import process_group
from lnn.runs.record import Run
from lnn.strategies import worker
from lnn.strategies.data_parallel.engine import Data
from lnn.strategies.neuron import neuron
from lnn.strategies.resident.engine import Resident
from support.inprocess_cloud import NAMES, Chaos, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

STRATEGIES = ["neuron", "fused", "resident", "data"]
PARAMETERS: dict[str, Any] = {
    "epochs": 4,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "optimizer": "momentum",
    "batch_size": 5,
    "workers": 2,
    "checkpoint_seconds": 1e-6,
}
REFUSAL = "User: lnn-trainer is not authorized to perform: {operation}"

RunTo = Callable[..., str]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "BLOCK_SECONDS", 0.1)
    monkeypatch.setattr(process_group, "JOIN_SECONDS", 2.0)
    monkeypatch.setattr(process_group, "PATIENCE_SECONDS", 1.0)


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> RunTo:
    """Uploads a small job and launches it; returns the run's id."""

    def start(strategy: str, **changes: Any) -> str:
        parameters = {**PARAMETERS, "strategy": strategy, **changes}
        if strategy in ("neuron", "fused"):
            parameters.pop("workers")
        upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), parameters)
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        cloud.messages_sent()
        return upload.run_id

    return start


@contextmanager
def refused(client: Any, *operations: str, code: str = "AccessDeniedException") -> Iterator[None]:
    """AWS refuses these operations of a client, every time."""

    def refuse(operation: str) -> Callable[..., None]:
        def hook(**_: Any) -> None:
            raise ClientError({"Error": {"Code": code, "Message": REFUSAL.format(operation=operation)}}, operation)

        return hook

    hooks = {f"before-call.*.{operation}": refuse(operation) for operation in operations}
    for event, hook in hooks.items():
        client.meta.events.register(event, hook)
    try:
        yield
    finally:
        for event, hook in hooks.items():
            client.meta.events.unregister(event, hook)


def resumed(cloud: InProcessCloud, run_id: str) -> Run:
    cloud.queue.invoke_trainer(Message(run_id, cloud.services.ledger.reopen(run_id), "start"))
    return cloud.run_to_end(run_id)


def assert_failed_for(cloud: InProcessCloud, run: Run, *cause: str) -> None:
    assert run.status == "FAILED", run
    for part in (*cause, "resume the run"):
        assert part in run.reason
    assert cloud.messages_sent() == ["LNN: training failed"]
    assert cloud.keys() == []


FAULTS: dict[str, tuple[str, list[str], str]] = {
    "reading": ("s3", ["GetObject"], "not allowed to read s3://"),
    "writing": ("s3", ["PutObject"], "not allowed to write s3://"),
    "history": ("dynamodb", ["BatchWriteItem"], f"not allowed to write to the table {NAMES.costs_table}"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_permission_taken_away_ends_the_run_and_resuming_gives_the_same_bits(
    strategy: str, fault: str, cloud: InProcessCloud, launch: RunTo
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch(strategy)).run_id)
    service, operations, cause = FAULTS[fault]
    run_id = launch(strategy)
    with refused(getattr(cloud, service), *operations):
        run = cloud.run_to_end(run_id)
    assert_failed_for(cloud, run, cause, REFUSAL.format(operation=operations[0]))
    assert run.generation == 1, "trying again would not have helped"
    run = resumed(cloud, run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_bucket_emptied_while_training_ends_the_run_and_resuming_gives_the_same_bits(
    strategy: str, cloud: InProcessCloud, launch: RunTo
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch(strategy)).run_id)
    run_id = launch(strategy)
    objects = cloud.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=f"runs/{run_id}/")["Contents"]
    markers = [
        (stored["Key"], cloud.s3.delete_object(Bucket=NAMES.bucket, Key=stored["Key"])["VersionId"])
        for stored in objects
    ]
    run = cloud.run_to_end(run_id)
    assert_failed_for(cloud, run, "which is gone", "restore it", "upload the dataset again")
    for key, version in markers:
        cloud.s3.delete_object(Bucket=NAMES.bucket, Key=key, VersionId=version)
    run = resumed(cloud, run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("called", ["trainer", "neuron"])
def test_a_function_that_may_not_be_called_ends_the_run(
    strategy: str, called: str, cloud: InProcessCloud, launch: RunTo
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch(strategy)).run_id)
    run_id = launch(strategy)

    def refuse(function: str, _: Message) -> None:
        if function == called:
            raise NonRetryable(f"not allowed to invoke the function {function}; then resume the run")

    cloud.queue.fault = refuse
    cloud.invocation_seconds = 0.5  # an epoch for each generation: fused, too, has to call somebody
    if (strategy, called) == ("fused", "neuron"):
        assert cloud.run_to_end(run_id).status == "COMPLETED", "it calls no Neuron"
        return
    run = cloud.run_to_end(run_id)
    assert_failed_for(cloud, run, f"not allowed to invoke the function {called}")
    cloud.queue.fault = None
    run = resumed(cloud, run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("strategy", ["neuron", "resident", "data"])
def test_a_neuron_that_always_raises_ends_the_run_with_what_it_raised(
    strategy: str, cloud: InProcessCloud, launch: RunTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch(strategy)).run_id)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("by zero")

    run_id = launch(strategy)
    with monkeypatch.context() as broken:
        broken.setattr(Resident, "__init__", fail)
        broken.setattr(Data, "__init__", fail)
        broken.setattr(neuron, "forward", fail)
        failed: list[ZeroDivisionError] = []
        while not cloud.run(run_id).has_ended:
            try:
                cloud.run_to_end(run_id)
            except ZeroDivisionError as error:  # Lambda counts it as an error of the function
                failed.append(error)
        run = cloud.run_to_end(run_id)
    assert bool(failed) == (strategy == "neuron")
    assert_failed_for(cloud, run, "no progress after epoch 0 in 5 attempts", "ZeroDivisionError: by zero")
    assert bool(re.search("neuron [1-9] of layer 1: ", str(run.reason))) == (strategy == "neuron")
    run = resumed(cloud, run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize("strategy", ["neuron", "resident", "data"])
def test_a_neuron_that_cannot_even_begin_is_found_out_at_the_second_attempt(
    strategy: str, cloud: InProcessCloud, launch: RunTo
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch(strategy)).run_id)
    run_id = launch(strategy)

    class Unreachable(Chaos):
        def deliver_one(self, cloud: InProcessCloud) -> None:
            function, message = cloud.queue.messages.pop(0)
            if function == "trainer":
                cloud.deliver(function, message)

    cloud.queue.neuron_error = "Runtime.ImportModuleError: no module named lnn"
    run = cloud.run_to_end(run_id, Unreachable(0))
    assert_failed_for(cloud, run, "the Neuron function fails", "Runtime.ImportModuleError: no module named lnn")
    assert run.generation == 2
    cloud.queue.neuron_error = None
    run = resumed(cloud, run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected


def test_a_worker_that_may_not_read_the_runs_has_the_trainer_tell(
    cloud: InProcessCloud, launch: RunTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch("resident")
    cloud.queue.messages.clear()
    with refused(cloud.dynamodb, "GetItem"), pytest.raises(NonRetryable, match="not allowed to read the table"):
        worker.work(cloud.services, Message(run_id, 1, "start", neuron=0), lambda: 900.0)
    assert cloud.queue.messages == [("trainer", Message(run_id, 2, "start"))]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_whose_record_cannot_be_written_raises_and_goes_on_once_it_can(
    strategy: str, cloud: InProcessCloud, launch: RunTo
) -> None:
    """Nobody could write FAILED: the function's errors and its dead letters tell, and the watch heals the run."""
    expected = cloud.outcome(cloud.run_to_end(launch(strategy)).run_id)
    run_id = launch(strategy)
    start = cloud.queue.messages.pop()
    with refused(cloud.dynamodb, "UpdateItem"), pytest.raises(NonRetryable, match="not allowed to update the table"):
        cloud.deliver(*start)
    run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == expected


def test_launch_ends_a_run_whose_input_it_may_not_read(cloud: InProcessCloud, tmp_path: Path) -> None:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), {**PARAMETERS, "strategy": "fused"})
    with refused(cloud.s3, "GetObject"):
        assert cloud.launch(upload) == "refused"
    run = cloud.run(upload.run_id)
    assert run.status == "FAILED"
    assert "not allowed to read s3://" in run.reason
    assert cloud.messages_sent() == ["LNN: training failed"]


def test_a_run_that_launch_may_not_hand_to_the_trainer_can_be_resumed(
    cloud: InProcessCloud, launch: RunTo, tmp_path: Path
) -> None:
    expected = cloud.outcome(cloud.run_to_end(launch("fused")).run_id)

    def refuse(function: str, _: Message) -> None:
        raise NonRetryable(f"not allowed to invoke the function {function}")

    cloud.queue.fault = refuse
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), {**PARAMETERS, "strategy": "fused"})
    assert cloud.launch(upload) == "refused"
    cloud.queue.fault = None
    assert resumed(cloud, upload.run_id).status == "COMPLETED"
    assert cloud.outcome(upload.run_id) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_trouble_with_messages_to_people_never_ends_a_run(strategy: str, cloud: InProcessCloud, launch: RunTo) -> None:
    run_id = launch(strategy, notify_every=1)
    with refused(cloud.sns, "Publish", code="AuthorizationError"):
        assert cloud.run_to_end(run_id).status == "COMPLETED"


def test_a_model_that_may_not_become_the_latest_is_told_of_in_the_story(cloud: InProcessCloud, launch: RunTo) -> None:
    run_id = launch("fused")
    with refused(cloud.s3, "HeadObject"):
        run = cloud.run_to_end(run_id)
    assert run.status == "COMPLETED"
    assert any("did not become the latest: not allowed to read" in event["what"] for event in run.events)
    assert cloud.messages_sent()[0].startswith("LNN: training completed")


def test_a_parameter_server_that_is_away_does_not_keep_the_end_from_people(
    cloud: InProcessCloud, launch: RunTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch("resident")
    cloud.queue.messages.clear()
    cloud.services.server(run_id).put("left", 1)
    cloud.services.ledger.claim(run_id, 1, "owner")

    def away(*_: Any) -> None:
        raise ConnectionError("no route")

    with monkeypatch.context() as broken:
        broken.setattr("lnn.parameter_server.server.ParameterServer.remove", away)
        train.end_without_model(cloud.services, run_id, 1, train.Ending("FAILED", "for a test"))
    assert cloud.messages_sent() == ["LNN: training failed"]
    assert cloud.run(run_id).closing is True
    assert cloud.run_to_end(run_id).closing is False
    assert cloud.messages_sent() == [], "once is enough"
    assert cloud.keys() == []


def test_the_watch_looks_after_all_runs_though_one_of_them_raises(
    cloud: InProcessCloud, launch: RunTo, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {launch("fused"), launch("fused")}
    cloud.queue.messages.clear()
    asked = []

    def once(function: str, message: Message) -> None:
        asked.append(message.run_id)
        if len(asked) == 1:
            raise ConnectionError("cut off")

    cloud.queue.fault = once
    for run_id in runs:
        cloud.let_leases_expire(run_id)
    with pytest.raises(ConnectionError, match="cut off"):
        train.handle(cloud.services, Message("", 0, "watch"), lambda: 900.0)
    assert set(asked) == runs
    assert len(cloud.queue.messages) == 1
