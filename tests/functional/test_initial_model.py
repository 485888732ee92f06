"""A run that begins with the weights of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn.models.model_file import load_model
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 2},
    "activations": {"layer1": "tanh", "layer2": "softmax"},
    "learning_rate": 0.5,
    "strategy": "fused",
}
THREE = {"neurons": {"layer1": 4, "layer2": 3}}


def begun(cloud: InProcessCloud, dataset: bytes, **changes: Any) -> Any:
    """The run, as Launch leaves it."""
    upload = cloud.upload(dataset, PARAMETERS | changes)
    cloud.launch(upload)
    return cloud.run(upload.run_id)


def parameters_of(cloud: InProcessCloud, run_id: str) -> Any:
    return load_model(cloud.read(f"prediction_input/{run_id}/params.h5")).parameters


def first_parameters(cloud: InProcessCloud, run: Any) -> Any:
    return cloud.services.artifacts.get_checkpoint(run.checkpoint["key"], 0).parameters


def assert_same(ours: Any, theirs: Any) -> None:
    for (W, b), (other_W, other_b) in zip(ours, theirs, strict=True):
        assert np.array_equal(W, other_W)
        assert np.array_equal(b, other_b)


@pytest.fixture
def two(tmp_path: Path) -> bytes:
    return tiny_dataset(tmp_path / "two.h5")


@pytest.fixture
def model(cloud: InProcessCloud, two: bytes) -> Any:
    run = cloud.run_to_end(begun(cloud, two).run_id)
    assert run.status == "COMPLETED"
    return run


@pytest.mark.parametrize("named", ["{run_id}", "latest", "s3://{bucket}/prediction_input/{run_id}/params.h5"])
def test_it_begins_with_the_weights_of_the_model(named: str, model: Any, cloud: InProcessCloud, two: bytes) -> None:
    run = begun(cloud, two, initial_model=named.format(run_id=model.run_id, bucket=NAMES.bucket))
    assert run.is_prepared, run.reason
    assert_same(first_parameters(cloud, run), parameters_of(cloud, model.run_id))
    whole = cloud.run_to_end(begun(cloud, two, epochs=6).run_id)
    warm = cloud.run_to_end(run.run_id)
    assert_same(parameters_of(cloud, warm.run_id), parameters_of(cloud, whole.run_id))
    assert warm.warnings == model.warnings


def test_a_registered_model_will_do(model: Any, cloud: InProcessCloud, two: bytes) -> None:
    content = cloud.read(f"prediction_input/{model.run_id}/params.h5")
    cloud.put("prediction_input/models/some-model/params", content)
    run = begun(cloud, two, initial_model="some-model", dtype="float32")
    expected = [(W.astype("f4"), b.astype("f4")) for W, b in parameters_of(cloud, model.run_id)]
    assert_same(first_parameters(cloud, run), expected)


def test_the_last_layer_may_be_drawn_anew(model: Any, cloud: InProcessCloud, tmp_path: Path) -> None:
    three = tiny_dataset(tmp_path / "three.h5", 3)
    drawn = first_parameters(cloud, begun(cloud, three, **THREE))
    run = begun(cloud, three, **THREE, initial_model=model.run_id, replace_output=True)
    (first, last), kept = first_parameters(cloud, run), parameters_of(cloud, model.run_id)
    assert_same([first], [kept[0]])
    assert_same([last], [drawn[1]])
    assert cloud.run_to_end(run.run_id).status == "COMPLETED"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"initial_model": "20260101T000000Z-00000000"},
            "and no such model; expected a run with a model",
        ),
        ({"initial_model": "../runs/x"}, 'found "../runs/x"; expected a run with a model'),
        ({"initial_model": "s3://elsewhere/params.h5"}, "expected an address under s3://"),
        ({"neurons": {"layer1": 5, "layer2": 2}}, "found a network 5-4-2; expected 5-5-2"),
        (
            {"activations": {"layer1": "relu", "layer2": "softmax"}},
            "the activations tanh, softmax; expected relu",
        ),
        (
            {"activations": {"layer1": "relu", "layer2": "softmax"}, "replace_output": True},
            "activations tanh; expected",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_stored(
    changes: dict[str, Any], expected: str, model: Any, cloud: InProcessCloud, two: bytes
) -> None:
    run = begun(cloud, two, **{"initial_model": model.run_id, **changes})
    assert run.status == "FAILED"
    assert run.reason.startswith("initial_model: ")
    assert expected in run.reason
    assert "replace_output" not in run.reason, "a cure that does not help here"
    stored = cloud.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=f"runs/{run.run_id}")
    assert stored["KeyCount"] == 0


def test_models_of_other_classes_and_files_that_are_none_are_refused(
    model: Any, cloud: InProcessCloud, two: bytes, tmp_path: Path
) -> None:
    three = tiny_dataset(tmp_path / "three.h5", 3)
    refused = begun(cloud, three, **THREE, initial_model=model.run_id)
    assert "found a network 5-4-2; expected 5-4-3" in refused.reason
    assert '"replace_output": true' in refused.reason
    cloud.put("prediction_input/broken/params.h5", b"no model at all")
    refused = begun(cloud, two, initial_model=f"s3://{NAMES.bucket}/prediction_input/broken/params.h5")
    assert refused.status == "FAILED"
    assert "prediction_input/broken/params.h5" in refused.reason
