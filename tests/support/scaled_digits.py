"""The digits as uint8, as floats of 0 to 255 and as floats of 0 to 1: one set of pictures, stored in several ways."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
from PIL import Image

from support.repository import REPOSITORY

DIGITS = REPOSITORY / "examples" / "digits" / "datasets.h5"

STORED: dict[str, Callable[[Any], Any]] = {
    "uint8": lambda x: x,
    "float32 of 0 to 255": lambda x: x.astype("float32"),
    "float64 of 0 to 1": lambda x: x / 255,
    "float32 of 0 to 1": lambda x: (x / 255).astype("float32"),
}

PARAMETERS: dict[str, Any] = {
    "epochs": 12,
    "layers": 2,
    "neurons": {"layer1": 24, "layer2": 10},
    "activations": {"layer1": "tanh", "layer2": "softmax"},
    "learning_rate": 0.01,
    "optimizer": "adam",
    "batch_size": 64,
    "strategy": "fused",
    "dtype": "float64",
}


def write_digits(path: Path, way: str, tests: int) -> Path:
    """All training examples and the first ``tests`` of the others, stored in one of the ways."""
    with h5py.File(DIGITS) as digits, h5py.File(path, "w") as file:
        file["train_set_x"] = STORED[way](digits["train_set_x"][...])
        file["test_set_x"] = STORED[way](digits["test_set_x"][:tests])
        file["train_set_y"] = digits["train_set_y"][...]
        file["test_set_y"] = digits["test_set_y"][...].ravel()[:tests]
        file["list_classes"] = digits["list_classes"][...]
    return path


def picture_files(tests: int) -> list[bytes]:
    """The first test examples as PNG files."""
    with h5py.File(DIGITS) as digits:
        return [png(pixels) for pixels in digits["test_set_x"][:tests]]


def png(pixels: Any) -> bytes:
    """A gray picture's file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
