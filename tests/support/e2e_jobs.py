"""Small data sets and parameters for trainings that take seconds."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def encode(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of an HDF5 file with these datasets."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values)
    return buffer.getvalue()


def blobs(examples: int = 20, features: int = 4, classes: int = 2, tests: int = 6, seed: int = 0) -> Arrays:
    """Clouds of points around one center for each class; every class occurs."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(classes, features)) * 1.5
    arrays: Arrays = {}
    for split, m in (("train", examples), ("test", tests)):
        y = np.arange(m) % classes
        arrays[f"{split}_set_x"] = centers[y] + generator.normal(size=(m, features))
        arrays[f"{split}_set_y"] = y.astype(np.int64)
    arrays["list_classes"] = np.array([f"class {index}".encode() for index in range(classes)])
    return arrays


def pictures(examples: int = 24, tests: int = 8, side: int = 4, seed: int = 1) -> Arrays:
    """Color pictures, uint8: dark ones and bright ones."""
    generator = np.random.default_rng(seed)
    arrays: Arrays = {}
    for split, m in (("train", examples), ("test", tests)):
        y = np.arange(m) % 2
        noise = generator.integers(0, 120, size=(m, side, side, 3))
        arrays[f"{split}_set_x"] = (noise + y[:, None, None, None] * 100).astype(np.uint8)
        arrays[f"{split}_set_y"] = y.astype(np.int64)[np.newaxis]
    arrays["list_classes"] = np.array([b"dark", b"bright"])
    return arrays


def network(*units: int, hidden: str = "tanh", output: str = "sigmoid", **settings: Any) -> dict[str, Any]:
    """Parameters of a network with ``units`` in its layers, in float64, since strategies are compared to 1e-9."""
    layers = len(units)
    activations = [hidden] * (layers - 1) + [output]
    return {
        "epochs": 3,
        "layers": layers,
        "neurons": {f"layer{index}": size for index, size in enumerate(units, start=1)},
        "activations": {f"layer{index}": name for index, name in enumerate(activations, start=1)},
        "learning_rate": 0.1,
        "dtype": "float64",
        **settings,
    }


NEURON_DATASET = encode(blobs(examples=20, features=5, classes=3))
WEIGHTED_DATASET = encode(blobs(examples=20, features=5, classes=3) | {"train_set_w": np.arange(20) % 4})
"""The same, with weights: each fourth example counts for nothing."""
NEURON_PARAMETERS = network(
    4, 3, output="softmax", strategy="neuron", epochs=18, batch_size=12, optimizer="adam", learning_rate=0.02, l2=0.01
)
"""Some seconds of ``neuron``: mini-batches, the last one short, an optimizer with a memory."""

FUSED_DATASET = encode(blobs(examples=200, features=60, tests=20, seed=2))
WEIGHTED_FUSED_DATASET = encode(
    blobs(examples=200, features=60, tests=20, seed=2) | {"train_set_w": np.arange(200) % 4}
)
FUSED_PARAMETERS = network(
    *(8, 4, 1),
    hidden="relu",
    strategy="fused",
    epochs=800,
    batch_size=4,
    optimizer="momentum",
    learning_rate=1e-5,
    checkpoint_seconds=1,
)
"""Some seconds of ``fused``, to be interrupted; small steps, so that two BLAS threads on a busy machine do not wait."""

EXAMPLE_SPACE_DATASET = encode(blobs(examples=100, features=400, tests=20, seed=4))
EXAMPLE_SPACE_PARAMETERS = FUSED_PARAMETERS | {"optimizer": "sgd", "l2": 0.1, "epochs": 4000}
"""The same, with fewer examples than features and a linear optimizer: trained in example space, and so much faster."""
