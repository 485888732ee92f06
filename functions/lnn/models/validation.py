"""Checks of a model file from anyone: it is safe to read, and its parts fit together.

``inspect_model`` runs this module as a program that reads one file: see ``lnn.data.inspection``.
"""

import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lnn.data.class_names import flaw, problems_with
from lnn.data.hdf5 import MAX_CHUNK_BYTES
from lnn.data.inspection import inspect, reply
from lnn.data.preprocessing import PREPROCESSING
from lnn.errors import InputError, ModelError
from lnn.models.model_file import MAX_MODEL_BYTES, MODEL_FILE, Model, load_model
from lnn.network import ACTIVATIONS, LINEAR, OUTPUT_ACTIVATIONS
from lnn.network.types import AnyArray
from lnn.text.characters import quoted

FLOATS = {np.dtype(name) for name in ("float16", "float32", "float64")}
SMALLEST_SCALE = float(np.finfo(np.float64).tiny)
"""Division by a smaller one overflows."""
IMAGE_DIMENSIONS = (2, 3)

CHUNK_COPIES = 4
"""Copies of a chunk in memory: packed, unpacked in a buffer that grows by doubling, and in the array."""


def inspect_model(source: Path | bytes, max_bytes: int = MAX_MODEL_BYTES, seconds: float | None = None) -> Model:
    """The model in a ``params.h5`` from anyone, once a child process has read it within ``seconds``.

    Its unpacked arrays take at most ``max_bytes``, and its parts fit together. Raises ModelError for any other file.
    """
    if isinstance(source, bytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / MODEL_FILE
            path.write_bytes(source)
            _try(path, max_bytes, seconds)
    else:
        _try(source, max_bytes, seconds)
    return load_model(source, max_bytes)


def _try(path: Path, max_bytes: int, seconds: float | None) -> None:
    try:
        inspect("lnn.models.validation", path, max_bytes, seconds=seconds)
    except InputError as error:
        raise ModelError(error.problems) from error


def misfits(model: Model) -> list[str]:
    """Every reason for which the model cannot predict; empty when it can."""
    wrong_layers = list(_layers(model))
    # The other checks read shapes, which only sound layers have.
    return wrong_layers or [*_activations(model), *_names(model), *_input(model)]


def _layers(model: Model) -> Iterator[str]:
    if not model.parameters:
        yield "it has no layers; expected W1 and b1 at least"
    before: int | None = None
    types = {array.dtype for layer in model.parameters for array in layer}
    if len(types) > 1 or not types <= FLOATS:
        found = ", ".join(sorted(map(str, types)))
        yield f"its weights and biases are of {found}; expected floating-point numbers of one type, such as float32"
        return
    for layer, (W, b) in enumerate(model.parameters, start=1):
        if W.ndim != 2 or not W.size or b.shape != (len(W), 1):
            yield (
                f"W{layer} has shape {W.shape} and b{layer} {b.shape}; expected (neurons, neurons of the layer before) "
                "and (neurons, 1)"
            )
            return
        if before is not None and W.shape[1] != before:
            yield f"W{layer} takes {W.shape[1]} inputs, and the layer before it has {before} neurons; expected as many"
        if not (np.isfinite(W).all() and np.isfinite(b).all()):
            yield f"W{layer} or b{layer} holds values that are not finite; expected finite numbers"
        elif not _adds_up(W):
            yield f"the weights of a neuron in W{layer} add up to more than {W.dtype} holds; expected smaller ones"
        before = len(W)


def _adds_up(W: AnyArray) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.abs(W).sum(axis=1)).all())


def _activations(model: Model) -> Iterator[str]:
    if len(model.activations) != len(model.parameters):
        yield f"it has {len(model.parameters)} layers and {len(model.activations)} activations; expected one for each"
        return
    *hidden, output = model.activations
    for name in hidden:
        if name not in ACTIVATIONS:
            yield f"there is no activation {quoted(name[:40])}; expected one of {', '.join(ACTIVATIONS)}"
    if output not in OUTPUT_ACTIVATIONS:
        yield (
            f"the output layer has activation {quoted(output[:40])}; expected one of {', '.join(OUTPUT_ACTIVATIONS)}"
        )


def _names(model: Model) -> Iterator[str]:
    classes, targets, units = model.list_classes, model.list_targets, len(model.parameters[-1][0])
    if model.activations[-1:] == [LINEAR]:
        if len(targets) != units or classes:
            yield (
                f"a linear output of {units} neurons has {len(targets)} names in list_targets and {len(classes)} in "
                "list_classes; expected a target for each, and no classes"
            )
        yield from (f"list_targets: {problem}" for problem in problems_with(targets, "target"))
    elif targets:
        yield f'list_targets names {len(targets)} targets; expected none, or an output layer that is "{LINEAR}"'
    elif len(classes) < 2:
        yield f"list_classes names {len(classes)} classes; expected at least 2 different classes"
    elif problems := problems_with(classes):
        yield from (f"list_classes: {problem}" for problem in problems)
    elif units != len(classes) and (units, len(classes)) != (1, 2):
        yield f"the output layer has {units} neurons for {len(classes)} classes; expected one for each, or 1 for 2"
    if wrong := flaw(model.run_id):
        yield f"run_id: found {model.run_id[:40]!r}, {wrong}; expected the id of a run, or another short name"


def _input(model: Model) -> Iterator[str]:
    if not SMALLEST_SCALE <= model.scale < math.inf:
        yield f"scale is {model.scale}; expected a positive number"
    if model.value_range is not None:
        black, white = model.value_range
        if not (math.isfinite(black) and math.isfinite(white) and black < white):
            yield f"value_range is {model.value_range}; expected the values of black and, above it, of white"
    if model.border is not None and not all(map(math.isfinite, model.border)):
        yield f"border is {model.border}; expected the mean and the spread of a brightness"
    if (table := model.preprocessing) is not None and (table.width, 1.0) != (model.features, model.scale):
        yield (
            f"{PREPROCESSING}: found columns that make {table.width} features, and a scale of {model.scale:g}; "
            f"expected the {model.features} inputs of layer 1, and 1"
        )
    shape = model.image_shape
    if shape is None:
        return
    if table is not None:
        yield f"it has both image_shape and {PREPROCESSING}; expected one of them"
    if len(shape) not in IMAGE_DIMENSIONS:
        yield f"image_shape has {len(shape)} sides; expected (height, width), (height, width, channels) or null"
    elif min(shape) < 1 or math.prod(shape) != model.features:
        yield f"image_shape {shape} does not make the {model.features} inputs of layer 1; expected their product"


def main(path: str, max_bytes: int) -> None:
    """Read one file within limited memory; print {} or {"problems": [...]}."""

    def examine() -> dict[str, list[str]]:
        problems = misfits(load_model(path, max_bytes))
        return {"problems": problems} if problems else {}

    reply(examine, max_bytes + CHUNK_COPIES * MAX_CHUNK_BYTES)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
