"""All strategies are the same mathematics: the same history, whatever is asked for."""

from __future__ import annotations

import io
from typing import Any

import h5py
import numpy as np
import pytest

from support.e2e_cloud import CloudUnderTest
from support.e2e_jobs import blobs, encode, network

TWO = encode(blobs(examples=13))
THREE = encode(blobs(examples=14, classes=3, seed=3))

CASES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "full batch, sgd, l2": (TWO, network(3, 1, hidden="relu", l2=0.1)),
    "logistic regression from zeros": (TWO, network(1, weight_init="zeros", optimizer="momentum")),
    "short last batch, momentum, softmax": (
        THREE,
        network(4, 3, output="softmax", batch_size=6, optimizer="momentum", l2=0.05, epochs=2),
    ),
    "short last batch, adam, three layers": (
        TWO,
        network(3, 2, 1, hidden="leaky_relu", batch_size=5, optimizer="adam", learning_rate=0.02, epochs=2),
    ),
    "one sigmoid for each class": (THREE, network(2, 3, hidden="sigmoid", optimizer="adam")),
    "softmax for two classes": (TWO, network(3, 2, output="softmax", record_every=2)),
    "float32": (THREE, network(3, 3, output="softmax", batch_size=6, dtype="float32", epochs=2)),
}
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}


WAYS: dict[str, dict[str, Any]] = {
    "neuron": {"strategy": "neuron"},
    "resident, 1 worker": {"strategy": "resident", "workers": 1},
    "resident, 3 workers": {"strategy": "resident", "workers": 3},
    "data, 2 workers": {"strategy": "data", "workers": 2},
    "data, 4 workers": {"strategy": "data", "workers": 4},
}
REFERENCE = {"strategy": "fused"}


@pytest.fixture(scope="module")
def runs(cloud: CloudUnderTest) -> dict[tuple[str, str], str]:
    """Id of the run of each case in each way; some are trained at the same time."""
    ways = WAYS | {"reference": REFERENCE}
    wanted = [(case, way) for case in CASES for way in ways]
    jobs = [(f"parity-{ways[way]['strategy']}", CASES[case][0], CASES[case][1] | ways[way]) for case, way in wanted]
    return {key: run.run_id for key, run in zip(wanted, cloud.train_all(jobs), strict=True)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_every_strategy_gives_the_same_history_and_model(
    cloud: CloudUnderTest, runs: dict[tuple[str, str], str], case: str, way: str
) -> None:
    parameters = CASES[case][1]
    tolerance = TOLERANCE[parameters.get("dtype", "float64")]
    run_id, reference = runs[case, way], runs[case, "reference"]

    assert [cloud.run(each).strategy for each in (run_id, reference)] == [WAYS[way]["strategy"], "fused"]
    histories = cloud.history(run_id), cloud.history(reference)
    assert [row["epoch"] for row in histories[0]] == [
        epoch
        for epoch in range(1, parameters["epochs"] + 1)
        if epoch % parameters.get("record_every", 1) == 0 or epoch == parameters["epochs"]
    ]
    assert histories[0] == [pytest.approx(row, rel=tolerance, abs=0) for row in histories[1]]

    with h5py.File(io.BytesIO(cloud.model(run_id))) as one, h5py.File(io.BytesIO(cloud.model(reference))) as other:
        assert set(one) == set(other)
        for name in one:
            assert one[name].dtype == parameters.get("dtype", "float64")
            np.testing.assert_allclose(one[name][()], other[name][()], rtol=tolerance, atol=tolerance)
