"""Why a network answers as it does: which neurons of the last hidden layer spoke for its answer, and how loudly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.models.inference import Numbers, Prediction
from lnn.network import Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.models.model_file import Model

MOST_NEURONS = 8
"""Neurons that are named; of the others the sum."""


@np.errstate(over="ignore", invalid="ignore")
def explanation(model: Model, x: NDArray[np.float64], said: Prediction | Numbers) -> dict[str, Any]:
    """The terms of the answer's z, the strongest first, for one example x (n,), as JSON types.

    ``z`` is that of the answer's class, or of the first target: the sum of a times w over the last hidden layer's
    ``neurons``, of the ``others`` together, and of the bias ``b``. Where one output neuron tells two classes apart, its
    signs are turned for the first class. A network without a hidden layer has no neurons to name. Values near the
    largest float may give an infinite ``z``, or none.
    """
    sizes = [model.features, *(len(W) for W, _ in model.parameters)]
    passed = Network(sizes, model.activations).forward(model.parameters, x[:, np.newaxis])
    W, b = model.parameters[-1]
    index = said.index if isinstance(said, Prediction) else 0
    row, sign = (0, -1 if index == 0 else 1) if len(W) == 1 and model.list_classes else (index, 1)
    a, w = passed.A[-2][:, 0], sign * W[row]
    terms = a * w
    order = np.argsort(-np.abs(terms), kind="stable")[:MOST_NEURONS] if len(model.parameters) > 1 else np.arange(0)
    return {
        "answer": model.list_classes[index] if model.list_classes else model.list_targets[index],
        "layer": len(model.parameters) - 1,
        "neurons": [
            {"neuron": int(place) + 1, "a": float(a[place]), "w": float(w[place]), "term": float(terms[place])}
            for place in order
        ],
        "others": float(terms.sum() - terms[order].sum()),
        "b": sign * float(b[row, 0]),
        "z": float(terms.sum()) + sign * float(b[row, 0]),
    }
