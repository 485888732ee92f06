"""One neuron's numbers, of a run of Lambdas and of a run in one piece."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.e2e_cloud import CloudUnderTest
from support.e2e_jobs import NEURON_DATASET, NEURON_PARAMETERS


def test_a_neuron_has_the_same_numbers_in_one_piece_and_one_by_one(cloud: CloudUnderTest) -> None:
    found: dict[str, dict[str, Any]] = {}
    for strategy in ("neuron", "fused"):
        parameters = NEURON_PARAMETERS | {"strategy": strategy, "epochs": 4}
        run_id = cloud.start(f"looked-at-{strategy}", NEURON_DATASET, parameters)
        cloud.completed(run_id)
        found[strategy] = cloud.lnn_json("neuron", run_id, "--layer", "1", "--neuron", "3", "--epoch", "3")
    alone, lambdas = found["fused"], found["neuron"]
    for name in ("w", "dw", "b", "db"):
        np.testing.assert_allclose(lambdas[name], alone[name], rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(lambdas["examples"], alone["examples"], strict=True):
        assert (ours["index"], ours["label"]) == (theirs["index"], theirs["label"])
        np.testing.assert_allclose([ours["z"], ours["dz"]], [theirs["z"], theirs["dz"]], rtol=1e-9, atol=1e-12)
    # Two batches, each forward and backward; the neuron's own, in the order in which they were made.
    assert [one["state"] for one in lambdas["invocations"]] == ["forward", "backward"] * 2
    assert alone["invocations"] == []
