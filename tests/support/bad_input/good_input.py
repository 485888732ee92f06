"""What the bad input is made from: a small dataset and parameters that are right."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np

Change = Callable[[h5py.File], object]

PARAMETERS: dict[str, Any] = {
    "epochs": 1,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}


def arrays() -> dict[str, Any]:
    """Ten and six pictures, (4, 3, 2), of two classes."""
    random = np.random.default_rng(0)
    return {
        "train_set_x": random.integers(0, 256, (10, 4, 3, 2), np.uint8),
        "train_set_y": np.arange(10) % 2,
        "test_set_x": random.integers(0, 256, (6, 4, 3, 2), np.uint8),
        "test_set_y": np.arange(6)[np.newaxis] % 2,
        "list_classes": np.array([b"ant", b"bee"]),
    }


def dataset(changes: Mapping[str, Any] | None = None, change: Change | None = None, **options: Any) -> bytes:
    """The good file with other arrays in place of some (None leaves one out), then changed by hand."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        for name, values in {**arrays(), **(changes or {})}.items():
            if values is not None:
                file.create_dataset(name, data=values, track_times=False)
        if change:
            change(file)
    return buffer.getvalue()


def packed(**options: Any) -> bytes:
    """The good file in chunks, with every filter that is allowed, and texts of any length."""
    values = arrays()

    def add(file: h5py.File) -> None:
        for name in ("train_set_x", "test_set_x"):
            chunks = (2, 4, 3, 2)
            file.create_dataset(
                name, data=values[name], chunks=chunks, compression="gzip", shuffle=True, fletcher32=True
            )

    names = np.array(["ant", "bee"], h5py.string_dtype())
    return dataset({"train_set_x": None, "test_set_x": None, "list_classes": names}, add, **options)


def floats() -> bytes:
    """The good file with features that are real numbers."""
    return dataset({name: arrays()[name].reshape(-1, 24) / 100 for name in ("train_set_x", "test_set_x")})


REACHING_OUT = ("external storage", "external storage in pieces", "a virtual dataset", "a virtual dataset of this file")


def reach_out(file: h5py.File, name: str, kind: str) -> None:
    """Puts a dataset into the file whose values would be those of a file of the machine that reads it."""
    shape = (10, 24) if name.endswith("_x") else (10,)
    secret = "/proc/self/environ"
    if kind.startswith("external storage"):
        pieces = [(secret, 0, 8 * size) for size in ((1, 29) if kind.endswith("pieces") else (30,))]
        file.create_dataset(name, shape, "u1", external=pieces)
        return
    source = h5py.VirtualSource("." if kind.endswith("this file") else secret, "list_classes", shape)
    layout = h5py.VirtualLayout(shape, "u1")
    layout[:5] = source[:5]
    file.create_virtual_dataset(name, layout, fillvalue=7)


def parameters(**changes: Any) -> bytes:
    """The good parameters as JSON text, with other values for some keys (``...`` leaves one out)."""
    return json.dumps({key: value for key, value in {**PARAMETERS, **changes}.items() if value is not ...}).encode()
