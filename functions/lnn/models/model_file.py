"""The format of ``params.h5``: a trained network with all that a prediction needs."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lnn.data.borders import Border
from lnn.data.hdf5 import Hdf5File, open_bytes, open_file
from lnn.data.preprocessing import MAX_BYTES as MAX_PREPROCESSING_BYTES
from lnn.data.preprocessing import PREPROCESSING, Preprocessing
from lnn.data.value_range import Range
from lnn.errors import InputError, ModelError
from lnn.network import Network
from lnn.network.types import AnyArray, Parameters

MODEL_FILE = "params.h5"

MAX_MODEL_BYTES = 10_240 * 2**20
"""The most that a model's arrays may take: Lambda's largest memory size (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""

MAX_SERVED_BYTES = 256 * 2**20
"""The largest model, packed or unpacked, that functions predict with: one holds a few of them."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network, as ``params.h5`` holds it."""

    parameters: Parameters
    run_id: str
    activations: list[str]
    list_classes: list[str]
    image_shape: tuple[int, ...] | None
    scale: float
    """The training examples were divided by this."""
    value_range: Range | None = None
    """Stored values of black and white; None for rows of floats, and in files of early releases."""
    list_targets: list[str] = field(default_factory=list)
    """Names of the numbers that it predicts; empty for a classifier."""
    preprocessing: Preprocessing | None = None
    """How the row of a table becomes X; None for models of other examples."""
    border: Border | None = None
    """Brightness of the training pictures' borders; None for other examples, and in files of early releases."""

    @property
    def features(self) -> int:
        return int(self.parameters[0][0].shape[1])

    def predict_proba(self, X: AnyArray) -> AnyArray:
        """Probability of each class, (K, m), for standardized examples X (n, m); or the numbers, (targets, m)."""
        sizes = [self.features, *(len(W) for W, _ in self.parameters)]
        probabilities = Network(sizes, self.activations).predict_proba(self.parameters, X)
        if len(self.list_classes) == 2 and probabilities.shape[0] == 1:
            return np.concatenate([1 - probabilities, probabilities])
        return probabilities


def encode_model(model: Model) -> bytes:
    """The bytes of ``params.h5``."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, (W, b) in enumerate(model.parameters, start=1):
            file.create_dataset(f"W{layer}", data=W)
            file.create_dataset(f"b{layer}", data=b)
        if model.preprocessing is not None:
            file.create_dataset(PREPROCESSING, data=model.preprocessing.encode())
        file.attrs["run_id"] = model.run_id
        file.attrs["layers"] = len(model.parameters)
        file.attrs["activations"] = json.dumps(model.activations)
        file.attrs["list_classes"] = json.dumps(model.list_classes)
        file.attrs["list_targets"] = json.dumps(model.list_targets)
        file.attrs["image_shape"] = json.dumps(model.image_shape)
        file.attrs["scale"] = model.scale
        file.attrs["value_range"] = json.dumps(model.value_range)
        file.attrs["border"] = json.dumps(model.border)
    return buffer.getvalue()


def load_model(source: str | Path | bytes, max_bytes: int = MAX_MODEL_BYTES) -> Model:
    """The model in a ``params.h5``, given its path or its bytes; its unpacked arrays take at most ``max_bytes``.

    Raises ModelError, which names what is missing or unsafe to read, for any other file.
    """
    opened = open_bytes(source, MODEL_FILE) if isinstance(source, bytes) else open_file(source)
    try:
        with opened as file:
            layers = _one(file, "layers", "a whole number", int)
            arrays = file.arrays((f"{kind}{layer}" for layer in range(1, layers + 1) for kind in "Wb"), max_bytes)
            shape = _listed(file, "image_shape", "whole numbers, or null", int)
            return Model(
                parameters=list(zip(arrays[::2], arrays[1::2], strict=True)),
                run_id=_one(file, "run_id", "a text", str),
                activations=_listed(file, "activations", "texts, one for each layer", str) or [],
                list_classes=_listed(file, "list_classes", "texts, the classes' names", str) or [],
                list_targets=_listed(file, "list_targets", "texts, the targets' names", str, default="[]") or [],
                image_shape=None if shape is None else tuple(shape),
                scale=float(_one(file, "scale", "a number", int, float)),
                value_range=_two(file, "value_range", "those of black and of white"),
                preprocessing=_preprocessing(file),
                border=_two(file, "border", "mean and spread"),
            )
    except (InputError, ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"not a params.h5 that LNN wrote: {error}") from error


def _preprocessing(file: Hdf5File) -> Preprocessing | None:
    if not file.holds(PREPROCESSING):
        return None
    return Preprocessing.decode(*file.arrays([PREPROCESSING], MAX_PREPROCESSING_BYTES))


def _two(file: Hdf5File, name: str, expected: str) -> tuple[float, float] | None:
    """An attribute that is a JSON list of two numbers, or null. Raises ModelError for any other."""
    stored = _listed(file, name, "two numbers, or null", int, float, default="null")
    if stored is None:
        return None
    if len(stored) != 2:
        raise ModelError(f"attribute {name}: found {len(stored)} numbers; expected {expected}")
    one, other = map(float, stored)
    return one, other


def _one(file: Hdf5File, name: str, expected: str, *types: type) -> Any:
    """An attribute whose value has one of the types. Raises ModelError for any other."""
    value = file.attribute(name)
    if type(value) not in types:
        raise ModelError(f"attribute {name}: found {value!a:.60}; expected {expected}")
    return value


def _listed(file: Hdf5File, name: str, expected: str, *types: type, default: str | None = None) -> list[Any] | None:
    """An attribute that is a JSON list of values of the types, or null. Raises ModelError for any other."""
    text = file.attribute(name, default)
    try:
        value = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):  # no JSON, digits without end, lists within lists
        value = text
    if value is not None and not (isinstance(value, list) and all(type(item) in types for item in value)):
        raise ModelError(f"attribute {name}: found {text!a:.60}; expected a JSON list of {expected}")
    return value
