"""The format of ``params.h5``: a trained network with all that a prediction needs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lnn.data.hdf5 import Hdf5File, open_bytes, open_file
from lnn.data.value_range import Range
from lnn.errors import InputError, ModelError
from lnn.network import Network
from lnn.network.types import AnyArray, Parameters

MODEL_FILE = "params.h5"

MAX_MODEL_BYTES = 10_240 * 2**20
"""The most that a model's arrays may take: Lambda's largest memory size (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""


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

    @property
    def features(self) -> int:
        return int(self.parameters[0][0].shape[1])

    def predict_proba(self, X: AnyArray) -> AnyArray:
        """Probability of each class, (K, m), for standardized examples X (n, m)."""
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
        file.attrs["run_id"] = model.run_id
        file.attrs["layers"] = len(model.parameters)
        file.attrs["activations"] = json.dumps(model.activations)
        file.attrs["list_classes"] = json.dumps(model.list_classes)
        file.attrs["image_shape"] = json.dumps(model.image_shape)
        file.attrs["scale"] = model.scale
        file.attrs["value_range"] = json.dumps(model.value_range)
    return buffer.getvalue()


def load_model(source: str | Path | bytes, max_bytes: int = MAX_MODEL_BYTES) -> Model:
    """The model in a ``params.h5``, given its path or its bytes; its unpacked arrays take at most ``max_bytes``.

    Raises ModelError, which names what is missing or unsafe to read, for any other file.
    """
    opened = open_bytes(source, MODEL_FILE) if isinstance(source, bytes) else open_file(source)
    try:
        with opened as file:
            layers = file.attribute("layers")
            if not isinstance(layers, int):
                raise ModelError(f"attribute layers: found {layers!r:.40}; expected a whole number")
            arrays = list(_arrays(file, layers, max_bytes))
            scale = file.attribute("scale")
            stored_range = file.attribute("value_range", "null")
            run_id, activations, list_classes, image_shape = (
                str(file.attribute(name)) for name in ("run_id", "activations", "list_classes", "image_shape")
            )
        shape: Sequence[int] | None = json.loads(image_shape)
        value_range: Sequence[float] | None = json.loads(str(stored_range))
        return Model(
            parameters=list(zip(arrays[::2], arrays[1::2], strict=True)),
            run_id=run_id,
            activations=list(json.loads(activations)),
            list_classes=list(json.loads(list_classes)),
            image_shape=tuple(shape) if shape else None,
            scale=float(scale),
            value_range=None if value_range is None else _range(*value_range),
        )
    except (InputError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ModelError(f"not a params.h5 that LNN wrote: {error}") from error


def _range(black: float, white: float) -> Range:
    return float(black), float(white)


def _arrays(file: Hdf5File, layers: int, max_bytes: int) -> Iterator[AnyArray]:
    """W1, b1, W2, ...: together at most ``max_bytes``."""
    for layer in range(1, layers + 1):
        for kind in "Wb":
            array = file.array(f"{kind}{layer}", max_bytes)
            max_bytes -= array.nbytes
            yield array
