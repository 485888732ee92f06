"""A function that was idle for weeks is Inactive: Lambda fails its first invocations, and a run begins all the same."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from lnn.aws import invoker
from lnn.aws.invoker import WAKING, WAKING_POLL_SECONDS, WAKING_SECONDS, Invoker
from lnn.messages import Message
from lnn.runs import lease
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

WORKERS = [Message("run-1", 1, "start", neuron=rank) for rank in range(3)]


@pytest.fixture
def functions(aws: boto3.Session) -> Any:
    return aws.client("lambda")


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds for which the invoker has waited, which pass at once."""
    waits: list[float] = []
    clock = SimpleNamespace(sleep=waits.append, monotonic=lambda: sum(waits))
    monkeypatch.setattr(invoker, "time", clock)
    return waits


@pytest.fixture
def answers(functions: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """What Lambda answers, one after the other; botocore holds each to its model of Invoke."""
    monkeypatch.setattr(invoker, "PARALLEL_CALLS", 1)
    with Stubber(functions) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def not_active(stubber: Stubber, code: str, times: int) -> None:
    model = stubber.client.meta.service_model
    shape = next(shape for shape in model.operation_model("Invoke").error_shapes if shape.name == code)
    for _ in range(times):
        stubber.add_client_error(
            "invoke",
            code,
            "Lambda is initializing your function. It will be ready to invoke shortly.",
            http_status_code=shape.metadata["error"]["httpStatusCode"],
        )


def accepted(stubber: Stubber, times: int) -> None:
    for _ in range(times):
        stubber.add_response("invoke", {"StatusCode": 202})


def test_every_error_that_is_waited_for_is_one_of_invoke_s(functions: Any) -> None:
    known = {shape.name for shape in functions.meta.service_model.operation_model("Invoke").error_shapes}
    assert known >= WAKING


@pytest.mark.parametrize("code", sorted(WAKING))
def test_workers_are_invoked_once_the_neuron_is_active(
    code: str, functions: Any, answers: Stubber, waited: list[float]
) -> None:
    entered: list[str] = []

    @contextmanager
    def lease_kept() -> Iterator[None]:
        entered.append("kept")
        yield
        entered.append("given back")

    not_active(answers, code, 3)
    not_active(answers, code, 3)
    accepted(answers, 3)
    Invoker(functions, "lnn-trainer", "lnn-neuron").invoke_neurons(WORKERS, while_waking=lease_kept)
    assert waited == [WAKING_POLL_SECONDS] * 2
    assert entered == ["kept", "given back"]


def test_who_was_accepted_is_not_invoked_twice(functions: Any, waited: list[float], monkeypatch: Any) -> None:
    sent: list[Any] = []
    asleep = count()

    def invoke(**request: Any) -> dict[str, Any]:
        if b'"neuron": 1' in request["Payload"] and next(asleep) < 2:
            raise ClientError({"Error": {"Code": "ResourceNotReadyException"}}, "Invoke")
        sent.append(request["Payload"])
        return {"StatusCode": 202}

    monkeypatch.setattr(functions, "invoke", invoke)
    Invoker(functions, "lnn-trainer", "lnn-neuron").invoke_neurons(WORKERS)
    assert len(sent) == len(set(sent)) == 3
    assert len(waited) == 2


@pytest.mark.parametrize("send", ["invoke_trainer", "invoke_neuron"])
def test_a_single_message_waits_for_its_function_too(
    send: str, functions: Any, answers: Stubber, waited: list[float]
) -> None:
    not_active(answers, "CodeArtifactUserPendingException", 2)
    accepted(answers, 1)
    getattr(Invoker(functions, "lnn-trainer", "lnn-neuron"), send)(WORKERS[0])
    assert len(waited) == 2


def test_a_neuron_that_is_tried_is_waited_for(functions: Any, answers: Stubber, waited: list[float]) -> None:
    not_active(answers, "ResourceNotReadyException", 2)
    answers.add_response(
        "invoke",
        {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorType": "ImportError"}')},
    )
    fault = Invoker(functions, "lnn-trainer", "lnn-neuron").try_neuron(WORKERS[0])
    assert fault == "ImportError: None"
    assert len(waited) == 2


def test_a_function_that_never_becomes_active_is_given_up(
    functions: Any, answers: Stubber, waited: list[float]
) -> None:
    not_active(answers, "ResourceNotReadyException", 1 + int(WAKING_SECONDS / WAKING_POLL_SECONDS) + 1)
    with pytest.raises(ClientError, match="ResourceNotReadyException"):
        Invoker(functions, "lnn-trainer", "lnn-neuron").invoke_trainer(WORKERS[0])
    assert sum(waited) == pytest.approx(WAKING_SECONDS, abs=2 * WAKING_POLL_SECONDS)


def test_what_no_waiting_mends_is_raised_at_once(functions: Any, answers: Stubber, waited: list[float]) -> None:
    answers.add_client_error("invoke", "CodeArtifactUserFailedException", "deploy it again", http_status_code=409)
    with pytest.raises(ClientError, match="CodeArtifactUserFailedException"):
        Invoker(functions, "lnn-trainer", "lnn-neuron").invoke_neuron(WORKERS[0])
    assert waited == []


@pytest.mark.parametrize("strategy", ["neuron", "resident", "data"])
def test_a_run_begins_though_the_neuron_was_idle_for_weeks(
    strategy: str, cloud: InProcessCloud, tmp_path: Path, waited: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = count()
    monkeypatch.setattr(lease, "INTERVAL_SECONDS", 0.01)

    def fault(function: str, message: Message) -> None:
        if function == "neuron" and next(asleep) < 12:
            raise ClientError({"Error": {"Code": "ResourceNotReadyException", "Message": "inactive"}}, "Invoke")

    def until_the_lease_is_renewed(seconds: float) -> None:
        waited.append(seconds)
        cloud.let_leases_expire(upload.run_id)
        deadline = time.monotonic() + 10
        while cloud.run(upload.run_id).lease_expires < time.time():
            assert time.monotonic() < deadline, "nobody keeps the lease"

    monkeypatch.setattr(invoker.time, "sleep", until_the_lease_is_renewed)
    parameters = {
        "epochs": 3,
        "layers": 2,
        "neurons": {"layer1": 4, "layer2": 1},
        "activations": {"layer1": "relu", "layer2": "sigmoid"},
        "learning_rate": 0.1,
        "strategy": strategy,
        "workers": None if strategy == "neuron" else 2,
    }
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), parameters)
    assert cloud.launch(upload) == "launched"
    cloud.queue.fault = fault
    run = cloud.run_to_end(upload.run_id)
    assert (run.status, run.generation, run.attempts["count"]) == ("COMPLETED", 1, 1)
    assert waited
