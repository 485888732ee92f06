"""Settings drawn at random, many keys at once: one history in every strategy, and the same bits over hand-overs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from lnn.network import parts
from lnn.parameter_server import barrier
from support.inprocess_cloud import Chaos, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

DRAWS = 30
STRATEGIES = ("fused", "resident", "data", "neuron")


@pytest.fixture(autouse=True)
def _no_waiting_for_abandoned_dispatches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barrier, "DISPATCH_SECONDS", 0.0)


def draw(number: int) -> tuple[dict[str, int], dict[str, Any]]:
    """What the dataset has, and parameters for it."""
    dice = random.Random(f"settings {number}")  # noqa: S311 - a test's dice
    targets = dice.choice((0, 0, 0, 1, 2))
    classes = dice.choice((2, 2, 3))
    outputs = targets or (1 if classes == 2 and dice.random() < 0.5 else classes)
    last = "linear" if targets else "sigmoid" if outputs == 1 else "softmax"
    optimizer = dice.choice(("sgd", "momentum", "nesterov", "adam", "adamw"))
    epochs = dice.choice((2, 3))
    hidden = [dice.choice(("relu", "tanh", "leaky_relu", "sigmoid", "elu", "gelu", "silu")) for _ in range(2)]
    schedules: list[dict[str, Any] | None] = [
        None,
        {"kind": "constant", "warmup_epochs": 1},
        {"kind": "step", "every": 2, "factor": 0.5},
        {"kind": "exponential", "factor": 0.8},
        {"kind": "cosine", "warmup_epochs": 1},
    ]
    parameters: dict[str, Any] = {
        "epochs": epochs,
        "layers": 3,
        "neurons": {"layer1": 4, "layer2": 3, "layer3": outputs},
        "activations": {"layer1": hidden[0], "layer2": hidden[1], "layer3": last},
        "learning_rate": dice.choice((0.05, 0.3)),
        "optimizer": optimizer,
        "batch_size": dice.choice((None, 4, 5)),
        "l2": dice.choice((0.0, 0.2)),
        "schedule": dice.choice(schedules),
        "seed": dice.randint(0, 99),
        "validation": dice.choice((None, 0.3, 0.4)),
        "keep": dice.choice(("best", "last")),
    }
    if optimizer in ("momentum", "nesterov"):
        parameters["momentum"] = dice.choice((None, 0.5))
    if optimizer in ("adam", "adamw"):
        parameters |= {"beta1": dice.choice((None, 0.8)), "beta2": dice.choice((None, 0.9)), "epsilon": 1e-6}
    if parameters["validation"] is not None:
        parameters |= {"patience": dice.choice((None, 1)), "min_delta": dice.choice((0.0, 0.01))}
    if targets:
        parameters["loss"] = dice.choice(("auto", "mse", "mae", "huber"))
    else:
        parameters["class_weight"] = dice.choice((None, "balanced", {"class 1": 3.0}))
    parameters["clip_norm"] = dice.choice((None, 0.1))
    parameters["dropout"] = dice.choice(({}, {"layer1": 0.3}, {"layer1": 0.2, "layer2": 0.4}))
    has = {"features": dice.choice((5, 200)), "examples": dice.randint(13, 17), "weighted": dice.random() < 0.3}
    return has | ({"targets": targets} if targets else {"classes": classes}), parameters


def trained(cloud: InProcessCloud, dataset: bytes, parameters: dict[str, Any], chaos: Chaos | None = None) -> Any:
    upload = cloud.upload(dataset, parameters)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id, chaos)
    assert run.status == "COMPLETED", run.reason
    return run


@pytest.mark.parametrize("number", range(DRAWS))
def test_drawn_settings_have_one_history_and_the_same_bits_when_disturbed(
    number: int, cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(number)  # noqa: S311 - a test's dice
    if number % 2:  # batches in parts, as those of large jobs are
        monkeypatch.setattr(parts, "LEAST_EXAMPLES", 1)
        monkeypatch.setattr(parts, "LEAST_MULTIPLICATIONS", 1)
    has, parameters = draw(number)
    dataset = tiny_dataset(tmp_path / "d.h5", **has)
    runs = {}
    for strategy in STRATEGIES:
        workers = dice.randint(1, 4) if strategy in ("resident", "data") else None
        runs[strategy] = trained(cloud, dataset, {**parameters, "strategy": strategy, "workers": workers})
    histories = {strategy: cloud.outcome(run.run_id)[1] for strategy, run in runs.items()}
    for strategy, history in histories.items():
        assert len(history) == len(histories["fused"]), (strategy, parameters)
        for expected, found in zip(histories["fused"], history, strict=True):
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-12), (strategy, parameters)
        assert runs[strategy].best_epoch == runs["fused"].best_epoch
    of = runs[STRATEGIES[number % len(STRATEGIES)]]
    cloud.invocation_seconds = 0.9  # less than is kept for handing over: a generation for each batch
    disturbed = trained(
        cloud,
        dataset,
        {**parameters, "strategy": of.strategy, "workers": of.workers},
        Chaos(number, duplicate=0.2, late=0.2) if of.strategy == "neuron" else None,
    )
    assert cloud.outcome(disturbed.run_id) == cloud.outcome(of.run_id)
    if of.strategy != "neuron":
        assert disturbed.generation >= of.epoch
