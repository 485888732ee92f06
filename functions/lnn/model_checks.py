"""Whether a model fits together: what is checked before anybody is asked to trust it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lnn.artifacts import Model
from lnn.class_names import clash
from lnn.network import ACTIVATIONS, OUTPUT_ACTIVATIONS


def misfits(model: Model) -> list[str]:
    """Everything about a model that keeps it from predicting; empty when it can."""
    wrong_layers = list(_layers(model))
    # What follows reads shapes that only sound layers have.
    return wrong_layers or [*_activations(model), *_classes(model), *_input(model)]


def _layers(model: Model) -> Iterator[str]:
    if not model.parameters:
        yield "it has no layers"
    before: int | None = None
    for layer, (W, b) in enumerate(model.parameters, start=1):
        if not all(isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.floating) for array in (W, b)):
            yield f"W{layer} and b{layer} must be arrays of floating-point numbers"
            return
        if W.ndim != 2 or not W.size or b.shape != (len(W), 1):
            yield (
                f"W{layer} has shape {W.shape} and b{layer} {b.shape}; expected (units, units of the layer before) "
                "and (units, 1)"
            )
            return
        if before is not None and W.shape[1] != before:
            yield f"W{layer} takes {W.shape[1]} inputs, and the layer before it has {before} units"
        if not (np.isfinite(W).all() and np.isfinite(b).all()):
            yield f"W{layer} or b{layer} holds values that are not finite"
        before = len(W)


def _activations(model: Model) -> Iterator[str]:
    if len(model.activations) != len(model.parameters):
        yield f"it has {len(model.parameters)} layers and {len(model.activations)} activations"
        return
    *hidden, output = model.activations
    for name in hidden:
        if name not in ACTIVATIONS:
            yield f"there is no activation {name!r}"
    if output not in OUTPUT_ACTIVATIONS:
        yield f"the output layer has activation {output!r}; expected one of {', '.join(OUTPUT_ACTIVATIONS)}"


def _classes(model: Model) -> Iterator[str]:
    classes, units = model.list_classes, len(model.parameters[-1][0])
    if not all(isinstance(name, str) for name in classes) or len(classes) < 2:
        yield "list_classes must name at least 2 different classes"
    elif problem := clash(classes):
        yield f"list_classes: {problem}"
    elif units != len(classes) and (units, len(classes)) != (1, 2):
        yield f"the output layer has {units} units for {len(classes)} classes"


def _input(model: Model) -> Iterator[str]:
    if not math.isfinite(model.scale) or model.scale <= 0:
        yield f"scale is {model.scale}; expected a positive number"
    shape = model.image_shape
    if shape is None:
        return
    if not all(isinstance(side, int) and side > 0 for side in shape) or math.prod(shape) != model.features:
        yield f"image_shape {shape} does not make the {model.features} inputs of layer 1"
