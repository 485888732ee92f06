"""A regression, from the upload to numbers over HTTP that are equal to numpy's own."""

from __future__ import annotations

import json

import numpy as np
import pytest
import urllib3

from lnn.models.model_file import load_model
from lnn.serving.registry import Registry
from support.e2e_cloud import CloudUnderTest, eventually
from support.e2e_jobs import encode, network


def numbers(examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Examples (m, 4), and two numbers for each (m, 2)."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(examples, 4))
    y = np.column_stack([np.sin(X[:, 0]) + X[:, 1], X[:, 2] * X[:, 3]])
    return X, y + generator.normal(size=y.shape) / 20


def test_a_regression_is_trained_promoted_and_answers_as_numpy_does(cloud: CloudUnderTest) -> None:
    (X, y), (X_test, y_test) = numbers(40, 1), numbers(10, 2)
    names = np.array([b"price", b"area"])
    dataset = {"train_set_x": X, "train_set_y": y, "test_set_x": X_test, "test_set_y": y_test, "list_targets": names}
    parameters = network(6, 2, output="linear", epochs=20, strategy="fused", learning_rate=0.05)
    run_id = cloud.start("regression", encode(dataset), parameters)
    run = cloud.completed(run_id)

    model = load_model(cloud.model(run_id))
    (W1, b1), (W2, b2) = model.parameters
    expected = np.tanh(X_test @ W1.T + b1.T) @ W2.T + b2.T
    assert run.test_rmse == pytest.approx(np.sqrt(np.square(expected - y_test).mean()))
    unexplained = np.square(expected - y_test).sum(axis=0) / np.square(y_test - y_test.mean(axis=0)).sum(axis=0)
    assert run.test_r2 == pytest.approx(1 - unexplained.mean())
    history = cloud.lnn_json("history", run_id)
    assert history[-1]["test_rmse"] == pytest.approx(run.test_rmse)
    assert "test_accuracy" not in history[-1]

    registry = Registry(cloud.client("dynamodb"), cloud.names.models_table)

    def staged() -> str | None:
        staging = registry.current().staging
        return staging if staging and staging.startswith(run_id) else None

    model_id = eventually(staged, "the model in staging", state=lambda: str(registry.current()))
    listed = {entry["model_id"]: entry for entry in cloud.lnn_json("models")["models"]}[model_id]
    assert (listed["targets"], listed["test_r2"]) == (2, pytest.approx(run.test_r2))
    cloud.lnn_json("promote", model_id)

    url = f"{cloud.description['predictions']}predict?model={model_id}"
    for example, values in zip(X_test, expected, strict=True):
        body = json.dumps({"features": example.tolist()})
        reply = urllib3.request("POST", url, body=body, headers={"content-type": "application/json"}, timeout=60)
        assert reply.status == 200, reply.data
        assert reply.json()["values"] == {"price": pytest.approx(values[0]), "area": pytest.approx(values[1])}
