"""The prototype's own training: 12288-20-7-5-1 on 209 pictures of cats and of other things."""

from __future__ import annotations

import numpy as np
import pytest

from support.e2e_cloud import CloudUnderTest
from support.e2e_jobs import blobs, encode, network
from support.repository import REPOSITORY

CATS = REPOSITORY.parent / "shared" / "data" / "cat" / "datasets.h5"
EPOCHS = 20


@pytest.fixture(scope="module")
def cats() -> bytes:
    """The pictures; where they are missing, noise of their shape."""
    if CATS.exists():
        return CATS.read_bytes()
    generator = np.random.default_rng(0)
    arrays = blobs(examples=209, tests=50)
    for split, m in (("train", 209), ("test", 50)):
        arrays[f"{split}_set_x"] = generator.integers(0, 256, size=(m, 64, 64, 3), dtype=np.uint8)
    return encode(arrays)


def test_the_prototypes_network_trains_neuron_by_neuron_as_it_does_in_one_piece(
    cloud: CloudUnderTest, cats: bytes
) -> None:
    parameters = network(20, 7, 5, 1, hidden="relu", learning_rate=0.0075, epochs=EPOCHS)
    neuron = cloud.completed(cloud.start("cats-neuron", cats, parameters | {"strategy": "neuron"}))
    fused = cloud.completed(cloud.start("cats-fused", cats, parameters | {"strategy": "fused"}))

    assert neuron.dimensions["sizes"] == [12288, 20, 7, 5, 1]
    history = cloud.history(neuron.run_id)
    assert [row["epoch"] for row in history] == list(range(1, EPOCHS + 1))
    assert history == [pytest.approx(row, rel=1e-9, abs=0) for row in cloud.history(fused.run_id)]
    # Launch and the start; then 33 neurons and, once a layer, the Trainer, both ways. Without faults none comes twice.
    assert neuron.invocations == 2 + EPOCHS * 2 * (33 + 4)
    assert neuron.generation == 1
    cloud.await_no_keys(neuron.run_id)
