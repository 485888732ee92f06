"""Weights of training examples, from the upload to the model."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from lnn.job.plan import Plan
from lnn.models.model_file import load_model
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 8,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.3,
    "strategy": "fused",
    "dtype": "float64",
}


def changed(dataset: bytes, **arrays: Any) -> bytes:
    """The dataset with other arrays in place of some."""
    buffer = BytesIO(dataset)
    with h5py.File(buffer, "r+") as file:
        for name, values in arrays.items():
            if name in file:
                del file[name]
            file[name] = values
    return buffer.getvalue()


def trained(cloud: InProcessCloud, dataset: bytes, **changes: Any) -> Any:
    upload = cloud.upload(dataset, PARAMETERS | changes)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "COMPLETED", run
    model = load_model(cloud.read(f"prediction_input/{run.run_id}/params.h5"))
    return run, [array for layer in model.parameters for array in layer]


def test_an_example_of_weight_0_is_as_good_as_left_out_and_one_of_2_counts_twice(
    cloud: InProcessCloud, tmp_path: Path
) -> None:
    plain = tiny_dataset(tmp_path / "d.h5")
    with h5py.File(BytesIO(plain)) as file:
        x, y = file["train_set_x"][:], file["train_set_y"][:]
    weights = np.array([0, 1, 2, 1, 0, 2, 1, 1, 0, 1, 2, 1, 1])
    repeated = np.repeat(np.arange(len(y)), weights)
    weighted, found = trained(cloud, changed(plain, train_set_w=weights))
    other, expected = trained(cloud, changed(plain, train_set_x=x[repeated], train_set_y=y[repeated]))
    for array, of_repeated in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, of_repeated, rtol=1e-9, atol=1e-12)
    assert weighted.final_cost == pytest.approx(other.final_cost, rel=1e-9)
    assert weighted.test_classes == other.test_classes


@pytest.mark.parametrize("factor", [2.0**-1070, 1024.0, 2.0**97])
def test_weights_are_relative(factor: float, cloud: InProcessCloud, tmp_path: Path) -> None:
    weighted = tiny_dataset(tmp_path / "d.h5", weighted=True)
    with h5py.File(BytesIO(weighted)) as file:
        weights = file["train_set_w"][:]
    _, expected = trained(cloud, weighted)
    _, found = trained(cloud, changed(weighted, train_set_w=weights * factor))
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)


def test_examples_that_are_held_out_take_their_weights_along(cloud: InProcessCloud, tmp_path: Path) -> None:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5", weighted=True), {**PARAMETERS, "validation": 0.3})
    assert cloud.launch(upload) == "launched"
    plan = Plan.parse(cloud.run(upload.run_id).plan)
    weights = cloud.services.artifacts.get_tensor(upload.run_id, "train_w")
    assert plan.weighted_examples
    assert len(weights) == plan.examples == 9
    assert weights.mean() == pytest.approx(1, rel=1e-15)


def test_a_part_to_train_with_whose_weights_are_all_0_is_refused(cloud: InProcessCloud, tmp_path: Path) -> None:
    plain = tiny_dataset(tmp_path / "d.h5")
    for chosen in range(13):
        upload = cloud.upload(changed(plain, train_set_w=np.eye(13)[chosen]), {**PARAMETERS, "validation": 0.4})
        if cloud.launch(upload) == "refused":
            break
    else:
        pytest.fail("one of them is held out")
    reason = str(cloud.run(upload.run_id).reason)
    assert "train_set_w: found a weight of 0 for each of the 8 examples that are left to train with" in reason
