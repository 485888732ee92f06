"""Whole trainings, disturbed: whatever happens to their messages, the same bits come out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError

from lnn import train as lnn_train
from lnn.errors import LedgerUnavailable
from lnn.messages import Message
from lnn.names import results_key
from lnn.parameter_server import barrier
from lnn.runs.record import OF_UPDATES
from support.inprocess_cloud import NAMES, Chaos, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

BINARY: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}
SOFTMAX: dict[str, Any] = {
    **BINARY,
    "layers": 3,
    "neurons": {"layer1": 4, "layer2": 3, "layer3": 3},
    "activations": {"layer1": "tanh", "layer2": "leaky_relu", "layer3": "softmax"},
}
LOGISTIC: dict[str, Any] = {
    **BINARY,
    "layers": 1,
    "neurons": {"layer1": 1},
    "activations": {"layer1": "sigmoid"},
    "weight_init": "zeros",
}
SMOOTH: dict[str, Any] = {
    **BINARY,
    "layers": 4,
    "neurons": {"layer1": 4, "layer2": 3, "layer3": 3, "layer4": 1},
    "activations": {"layer1": "gelu", "layer2": "elu", "layer3": "silu", "layer4": "sigmoid"},
}
COSINE = {"kind": "cosine", "warmup_epochs": 1}
NESTEROV = {
    "optimizer": "nesterov",
    "momentum": 0.8,
    "schedule": {"kind": "step", "every": 2, "factor": 0.5},
}
REGRESSION: dict[str, Any] = {**BINARY, "activations": {"layer1": "tanh", "layer2": "linear"}}
TWO_TARGETS: dict[str, Any] = {**REGRESSION, "neurons": {"layer1": 4, "layer2": 2}}
VALIDATED: dict[str, Any] = {**BINARY, "epochs": 8, "learning_rate": 2.0, "validation": 0.3}
"""At this rate the last epoch is not the best one."""
CASES = {
    "full batch": (2, BINARY),
    "mini-batches, the last one short": (2, {**BINARY, "batch_size": 5}),
    "momentum and l2": (2, {**BINARY, "optimizer": "momentum", "l2": 0.3}),
    "adam in mini-batches": (2, {**BINARY, "optimizer": "adam", "batch_size": 4}),
    "adamw with decay and its own constants": (
        2,
        {**BINARY, "optimizer": "adamw", "batch_size": 5, "l2": 0.3, "beta1": 0.8, "beta2": 0.9, "epsilon": 1e-4},
    ),
    "nesterov and l2": (2, {**BINARY, "optimizer": "nesterov", "momentum": 0.5, "batch_size": 5, "l2": 0.3}),
    "a warm-up and a cosine": (
        2,
        {**BINARY, "epochs": 4, "batch_size": 5, "optimizer": "adamw", "l2": 0.2, "schedule": COSINE},
    ),
    "softmax": (3, SOFTMAX),
    "elu, gelu and silu": (2, {**SMOOTH, "batch_size": 5}),
    "float32": (3, {**SOFTMAX, "dtype": "float32", "l2": 0.1}),
    "logistic regression": (2, LOGISTIC),
    "fewer examples than features": (2, {**BINARY, "epochs": 6, "batch_size": 5, "optimizer": "momentum", "l2": 0.2}),
    "nesterov, fewer examples than features": (
        2,
        {**BINARY, **NESTEROV, "epochs": 6, "batch_size": 5, "l2": 0.2},
    ),
    "weighted classes": (2, {**BINARY, "class_weight": {"class 1": 20}, "batch_size": 5, "l2": 0.1}),
    "weighted classes, fewer examples than features": (
        3,
        {**SOFTMAX, **NESTEROV, "epochs": 6, "class_weight": {"class 0": 0.5, "class 2": 7}, "batch_size": 5},
    ),
    "weighted examples": (2, {**BINARY, "batch_size": 5, "l2": 0.1, "optimizer": "adam"}),
    "weighted examples of weighted classes, with a validation set": (
        3,
        {**SOFTMAX, "class_weight": "balanced", "batch_size": 4, "validation": 0.3, "clip_norm": 0.3},
    ),
    "weighted examples, fewer examples than features": (2, {**BINARY, **NESTEROV, "epochs": 6, "batch_size": 5}),
    "mae of weighted examples": (2, {**TWO_TARGETS, "loss": "mae", "batch_size": 4}),
    "mse of weighted examples in float32": (1, {**REGRESSION, "dtype": "float32", "dropout": {"layer1": 0.3}}),
    "clipped gradients": (
        2,
        {**BINARY, "clip_norm": 0.05, "optimizer": "momentum", "batch_size": 5, "l2": 0.3},
    ),
    "clipped gradients of the full batch": (3, {**SOFTMAX, "clip_norm": 0.3, "optimizer": "adam"}),
    "clipped gradients, fewer examples than features": (
        2,
        {**BINARY, **NESTEROV, "clip_norm": 0.05, "epochs": 6, "batch_size": 5, "l2": 0.2},
    ),
    "clipped gradients of one layer": (2, {**LOGISTIC, "clip_norm": 0.2, "batch_size": 4}),
    "dropout": (2, {**SMOOTH, "dropout": {"layer1": 0.3, "layer3": 0.5}, "batch_size": 5, "epochs": 4}),
    "dropout in the full batch": (3, {**SOFTMAX, "dropout": {"layer1": 0.4, "layer2": 0.2}, "optimizer": "adam"}),
    "dropout, fewer examples than features": (
        2,
        {**BINARY, **NESTEROV, "dropout": {"layer1": 0.3}, "epochs": 6, "batch_size": 5, "l2": 0.2},
    ),
    "dropout and clipping of a regression": (
        2,
        {**TWO_TARGETS, "dropout": {"layer1": 0.3}, "clip_norm": 0.5, "batch_size": 4, "dtype": "float32"},
    ),
    "mse": (1, REGRESSION),
    "mse of two targets in mini-batches": (2, {**TWO_TARGETS, "batch_size": 5, "l2": 0.1}),
    "mae": (1, {**REGRESSION, "loss": "mae", "batch_size": 4}),
    "huber, fewer examples than features": (
        2,
        {**TWO_TARGETS, "loss": "huber", "epochs": 6, "batch_size": 5, "optimizer": "momentum"},
    ),
    "a validation set, and the best model of it": (2, {**VALIDATED, "batch_size": 4, "optimizer": "momentum"}),
    "patience": (3, {**SOFTMAX, "epochs": 40, "learning_rate": 3.0, "validation": 0.3, "patience": 3, "l2": 0.1}),
    "the last model, fewer examples than features": (2, {**VALIDATED, "keep": "last", "optimizer": "nesterov"}),
    "the best model, fewer examples than features": (2, {**VALIDATED, "batch_size": 4, "min_delta": 0.01}),
    "mse, with a validation set": (1, {**REGRESSION, "validation": 0.3, "epochs": 6}),
    "linear regression in float32": (1, {**LOGISTIC, "activations": {"layer1": "linear"}, "dtype": "float32"}),
}
OF_NUMBERS = {name for name, (_, parameters) in CASES.items() if "linear" in parameters["activations"].values()}
"""Cases of regression: the number beside them is that of their targets."""

PARALLEL = ["resident", "data"]


def ways(case: str) -> list[tuple[str, int | None]]:
    """Strategies, each with numbers of workers: odd and even ones in turn, so that two cases have all from 1 to 4."""
    odd, even = [(1, 3), (2, 4)][:: 1 if list(CASES).index(case) % 2 else -1]
    return [("neuron", None), *(("resident", workers) for workers in odd), *(("data", workers) for workers in even)]


@pytest.fixture
def train(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    """Uploads a case and launches it; returns the run's id."""

    def start(case: str, strategy: str, **changes: Any) -> str:
        classes, parameters = CASES[case]
        features = 200 if "fewer examples than features" in case else 5
        labels = {"targets" if case in OF_NUMBERS else "classes": classes}
        weighted = "weighted examples" in case
        dataset = tiny_dataset(tmp_path / "datasets.h5", features=features, weighted=weighted, **labels)
        upload = cloud.upload(dataset, {**parameters, "strategy": strategy, **changes})
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        return upload.run_id

    return start


@pytest.fixture(autouse=True)
def _no_waiting_for_abandoned_dispatches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier, "DISPATCH_SECONDS", 0.0)


def of_updates(cloud: InProcessCloud, run_id: str) -> Any:
    """The learning rate of each epoch's last update, and the norm of its gradient where it was clipped."""
    names = OF_UPDATES if cloud.run(run_id).settings["clip_norm"] else ["learning_rate"]
    return np.array([[getattr(row, name) for name in names] for row in cloud.services.ledger.history(run_id)])


@pytest.mark.parametrize("case", CASES)
def test_every_strategy_has_the_same_history(case: str, cloud: InProcessCloud, train: Callable[..., str]) -> None:
    tolerance = 1e-4 if CASES[case][1].get("dtype") == "float32" else 1e-9
    epochs = CASES[case][1]["epochs"]
    fused = cloud.run_to_end(train(case, "fused"))
    expected = cloud.outcome(fused.run_id)[1]
    assert [row[0] for row in expected] == list(range(1, fused.epoch + 1))
    assert (fused.epoch < epochs) == ("patience" in case), fused.epoch
    more = ("best_epoch", "validation_cost") if fused.has_validation else ()
    for strategy, workers in ways(case):
        run = cloud.run_to_end(train(case, strategy, workers=workers))
        assert run.status == "COMPLETED", run
        found = cloud.outcome(run.run_id)[1]
        assert len(found) == len(expected), (strategy, workers)
        for one, other in zip(expected, found, strict=True):
            assert other == pytest.approx(one, rel=tolerance), (strategy, workers)
        assert of_updates(cloud, run.run_id) == pytest.approx(of_updates(cloud, fused.run_id), rel=tolerance)
        for figure in ("final_cost", *fused.score_names, *more):
            assert getattr(fused, figure) is not None
            assert getattr(run, figure) == pytest.approx(getattr(fused, figure), rel=tolerance), (strategy, workers)
        assert (run.test_classes, run.base_rate("test")) == (fused.test_classes, fused.base_rate("test"))
        assert cloud.keys() == []
    if case not in OF_NUMBERS:
        assert fused.test_metrics is not None
        assert fused.test_metrics.accuracy == fused.test_accuracy
        assert fused.test_metrics.base_rate == fused.base_rate("test")
        stored = cloud.s3.get_object(Bucket=NAMES.bucket, Key=results_key(fused.run_id))["Body"].read()
        figures = fused.test_metrics.as_json()
        assert json.loads(stored).items() >= figures.items()
        assert {"base_rate", "balanced_accuracy", "by_class"} <= figures.keys()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("case", "window"),
    [
        ("mini-batches, the last one short", 0),
        ("softmax", 1),
        ("patience", 3),
        ("mae", 2),
        ("clipped gradients", 0),
        ("clipped gradients of the full batch", 2),
        ("dropout", 0),
    ],
)
def test_neuron_ends_with_the_same_bits_whatever_happens_to_its_messages(
    case: str, window: int, seed: int, cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    undisturbed = cloud.run_to_end(train(case, "neuron"))
    cloud.services = cloud.services_with(window)
    disturbed = cloud.run_to_end(train(case, "neuron"), Chaos(seed, duplicate=0.3, late=0.2, lost=0.02))
    assert (undisturbed.status, disturbed.status) == ("COMPLETED", "COMPLETED")
    assert cloud.outcome(disturbed.run_id) == cloud.outcome(undisturbed.run_id)
    assert cloud.keys() == []


@pytest.mark.parametrize("strategy", ["neuron", "fused"])
def test_a_call_that_fails_once_is_healed(
    strategy: str, cloud: InProcessCloud, train: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = cloud.outcome(cloud.run_to_end(train("full batch", strategy)).run_id)
    artifacts = type(cloud.services.artifacts)
    for method in ("get_checkpoint", "put_model", "publish"):
        failures = [method]
        original = getattr(artifacts, method)

        def once(*arguments: Any, original: Any = original, failures: list[str] = failures, **named: Any) -> Any:
            if failures:
                raise ConnectionError(f"{failures.pop()} did not answer")
            return original(*arguments, **named)

        monkeypatch.setattr(artifacts, method, once)
        run_id = train("full batch", strategy)
        with pytest.raises(ConnectionError, match=method):
            cloud.run_to_end(run_id)
        run = cloud.run_to_end(run_id)
        assert run.status == "COMPLETED"
        assert cloud.outcome(run_id) == expected
        assert cloud.keys() == []


def test_redis_losing_everything_sends_the_run_back_to_its_checkpoint(
    cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    expected = cloud.outcome(cloud.run_to_end(train("momentum and l2", "neuron")).run_id)
    run_id = train("momentum and l2", "neuron", checkpoint_seconds=0.000001)
    for _ in range(30):
        Chaos(1).deliver_one(cloud)
    cloud.redis.flushall()
    run = cloud.run_to_end(run_id)
    assert run.generation > 1
    assert cloud.outcome(run_id) == expected


@pytest.mark.parametrize(
    "case",
    [
        "momentum and l2",
        "a warm-up and a cosine",
        "fewer examples than features",
        "nesterov, fewer examples than features",
        "huber, fewer examples than features",
        "weighted classes, fewer examples than features",
        "a validation set, and the best model of it",
        "the best model, fewer examples than features",
        "clipped gradients",
        "clipped gradients, fewer examples than features",
        "dropout, fewer examples than features",
    ],
)
def test_fused_hands_over_before_its_time_is_up(case: str, cloud: InProcessCloud, train: Callable[..., str]) -> None:
    undisturbed = cloud.run_to_end(train(case, "fused", batch_size=None))
    assert undisturbed.plan["formulation"] == ("example_space" if "fewer" in case else "plain")
    run_id = train(case, "fused", batch_size=None)
    cloud.invocation_seconds = 0.9  # less than is kept for handing over
    run = cloud.run_to_end(run_id)
    handed_over = [event["what"].partition(" hands over ")[2] for event in run.events if "hands over" in event["what"]]
    assert handed_over == [f"after epoch {epoch}" for epoch in range(1, undisturbed.epoch)]
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)


@pytest.mark.parametrize(
    "case",
    [
        "momentum and l2",
        "nesterov and l2",
        "a warm-up and a cosine",
        "mse of two targets in mini-batches",
        "weighted classes",
        "a validation set, and the best model of it",
        "patience",
        "clipped gradients",
        "dropout",
    ],
)
@pytest.mark.parametrize("strategy", ["neuron", "fused", *PARALLEL])
def test_a_stopped_run_keeps_its_model_and_resumes_to_the_same_bits(
    strategy: str, case: str, cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    expected = cloud.outcome(cloud.run_to_end(train(case, strategy)).run_id)
    run_id = train(case, strategy)
    cloud.services.ledger.request_stop(run_id)
    stopped = cloud.run_to_end(run_id)
    assert stopped.status == "STOPPED"
    assert "on request" in stopped.reason
    assert stopped.artifacts["params"]

    generation = cloud.services.ledger.reopen(run_id)
    cloud.queue.invoke_trainer(Message(run_id, generation, "start"))
    assert cloud.run_to_end(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == expected


def test_a_diverging_training_fails_with_the_way_to_mend_it(cloud: InProcessCloud, train: Callable[..., str]) -> None:
    for strategy in ("neuron", "fused", *PARALLEL):
        run = cloud.run_to_end(train("full batch", strategy, learning_rate=1e200, epochs=20))
        assert run.status == "FAILED"
        assert "learning_rate" in run.reason
        assert cloud.keys() == []


def test_a_threshold_ends_the_run_at_the_epoch_that_reaches_it(
    cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    for strategy in ("neuron", "fused", *PARALLEL):
        run = cloud.run_to_end(train("full batch", strategy, threshold=100.0))
        assert (run.status, run.epoch) == ("COMPLETED", 1)
        assert "threshold" in run.reason


def test_people_are_told_once_of_the_start_and_once_of_the_end(
    cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    run_id = train("full batch", "neuron", notify_every=2)
    cloud.run_to_end(run_id, Chaos(3, duplicate=0.5))
    subjects = cloud.messages_sent()
    assert [subject.split(",")[0] for subject in sorted(subjects)] == [
        "LNN: epoch 2 of 3",
        "LNN: training 5-4-1 has started",
        "LNN: training completed",
    ]


def test_a_calibration_leaves_the_latest_model_and_people_alone(
    cloud: InProcessCloud, train: Callable[..., str], tmp_path: Path
) -> None:
    real = cloud.run_to_end(train("full batch", "fused"))
    cloud.messages_sent()
    latest = {key: cloud.read(key) for key in ("prediction_input/params.h5", "training_results/results.json")}
    body = {**BINARY, "notify_every": 1, "learning_rate": 0.2}
    dataset = tiny_dataset(tmp_path / "datasets.h5", 2)
    cloud.put("training_input/calibration-1/parameters.json", json.dumps(body).encode())
    upload = cloud.put("training_input/calibration-1/datasets.h5", dataset)
    assert cloud.launch(upload) == "launched"
    run = cloud.run_to_end(upload.run_id)
    assert (run.status, run.closing) == ("COMPLETED", False)
    assert cloud.messages_sent() == []
    assert {key: cloud.read(key) for key in latest} == latest
    assert cloud.read(f"prediction_input/{run.run_id}/params.h5") != latest["prediction_input/params.h5"]
    assert real.run_id in latest["training_results/results.json"].decode()


def test_the_fuse_ends_a_run_that_feeds_itself(
    cloud: InProcessCloud, train: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn.strategies.neuron.layout.BUDGET_FACTOR", 0.1)
    monkeypatch.setattr("lnn.strategies.neuron.layout.BUDGET_ALLOWANCE", 0)
    run = cloud.run_to_end(train("full batch", "neuron"))
    assert run.status == "FAILED"
    assert "invocations" in run.reason


def test_a_run_that_was_stopped_and_resumed_counts_every_invocation_once(
    cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    undisturbed = cloud.run_to_end(train("full batch", "neuron", epochs=6))
    assert undisturbed.invocations == 2 + 6 * (2 * (5 + 2)), "Launch, the first start, and each epoch's steps"

    run_id = train("full batch", "neuron", epochs=6)
    while cloud.run(run_id).epoch < 3:
        Chaos(0).deliver_one(cloud)
    cloud.services.ledger.request_stop(run_id)
    stopped = cloud.run_to_end(run_id)
    cloud.queue.invoke_trainer(Message(run_id, cloud.services.ledger.reopen(run_id), "start"))
    resumed = cloud.run_to_end(run_id)
    assert stopped.epoch == 4
    assert (stopped.invocations, resumed.invocations) == (58, undisturbed.invocations + 1)


@pytest.mark.parametrize("strategy", ["neuron", "fused", *PARALLEL])
def test_a_stop_after_a_crash_tells_the_figures_of_the_model_it_leaves(
    strategy: str, cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    ledger = cloud.services.ledger
    history = ledger.history(cloud.run_to_end(train("full batch", strategy, epochs=6)).run_id)
    run_id = train("full batch", strategy, epochs=6)
    ledger.claim(run_id, 1, "a trainer that got as far as epoch 4 and then crashed")
    ledger.record(run_id, history[:4])
    ledger.renew(run_id, 1, epoch=4, cost=history[3].cost, training_started_at=1.0)
    ledger.request_stop(run_id)
    cloud.queue.messages.clear()
    stopped = cloud.run_to_end(run_id)
    assert (stopped.status, stopped.epoch) == ("STOPPED", 4), "no trained epoch is lost"
    assert stopped.final_cost == pytest.approx(history[3].cost)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("strategy", ["neuron", "fused", *PARALLEL])
def test_weights_that_the_last_update_made_infinite_are_no_model(
    strategy: str, cloud: InProcessCloud, train: Callable[..., str]
) -> None:
    run = cloud.run_to_end(train("full batch", strategy, learning_rate=1e308, l2=1e3, epochs=1))
    assert run.status == "FAILED"
    assert "weights after epoch 1 are not finite" in run.reason
    assert "learning_rate" in run.reason
    assert run.artifacts is None
    assert cloud.keys() == []


@pytest.fixture
def silent_table(cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs table answers no read while this holds something; each read takes one entry away."""
    silent: list[str] = []
    read = cloud.dynamodb.get_item

    def get_item(**arguments: Any) -> Any:
        if silent:
            silent.pop()
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": "try again"}}, "GetItem")
        return read(**arguments)

    monkeypatch.setattr(cloud.dynamodb, "get_item", get_item)
    monkeypatch.setattr(lnn_train, "TABLE_PAUSE_SECONDS", 0.0)
    return silent


def test_a_trainer_waits_for_a_table_that_does_not_answer(
    cloud: InProcessCloud, train: Callable[..., str], silent_table: list[str]
) -> None:
    run_id = train("full batch", "fused")
    silent_table += ["no answer"] * 3
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation, silent_table) == ("COMPLETED", 1, [])


def test_a_trainer_that_could_not_claim_its_generation_asks_for_no_other(
    cloud: InProcessCloud, train: Callable[..., str], silent_table: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lambda repeats the message. One for a later generation would take the run from the one that is at work then."""
    run_id = train("full batch", "fused")
    monkeypatch.setattr(lnn_train, "TABLE_SECONDS", 0.0)
    silent_table += ["no answer"] * 100
    start = cloud.queue.messages.pop()
    with pytest.raises(LedgerUnavailable, match="cannot be claimed"):
        cloud.deliver(*start)
    assert cloud.queue.messages == []
    silent_table.clear()
    cloud.queue.messages.append(start)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 1)
