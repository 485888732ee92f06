"""The output layer: its activation, its cost from the logits, and the gradient that starts the backward pass.

Costs are computed from the logits Z and not from the probabilities A, so there is no log(0): a cost is finite
for every Z without NaN, even when training diverges. Costs are summed in float64 whatever Z's dtype.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from lnn.network.activations import sigmoid, softmax
from lnn.network.types import Array

LARGEST_LOGIT = 1e290
"""A cost clips logits to this, so that a sum of even 10^17 of them stays below float64's 1.8e308."""


def binary_cross_entropy(Z: Array, Y: Array) -> float:
    """Mean over the examples of -[Y log A + (1 - Y) log(1 - A)], A = sigmoid(Z), summed over the units.

    Z and Y are (units, m), Y of zeros and ones. With one unit it is the usual binary loss; with K units it
    is K one-vs-all classifiers. It is log(1 + e^z) = max(z, 0) + log1p(e^-|z|), z being -Z where Y is 1 and Z where 0.
    """
    z = np.where(Y > 0.5, -1.0, 1.0) * _bounded(Z)
    return float((np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))).sum() / Z.shape[1])


def categorical_cross_entropy(Z: Array, Y: Array) -> float:
    """Mean over the examples of -log A[class], A = softmax(Z). Z and one-hot Y are (K, m).

    -log softmax(Z)[k] = log(sum_j e^(Z_j - max)) - (Z_k - max): the log-sum-exp form.
    """
    z = _bounded(Z)
    z = z - z.max(axis=0, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=0)) - (z * Y).sum(axis=0)).sum() / Z.shape[1])


OUTPUT_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType({"sigmoid": sigmoid, "softmax": softmax})
"""Activations an output layer may have."""

_COSTS: Mapping[str, Callable[[Array, Array], float]] = MappingProxyType(
    {"sigmoid": binary_cross_entropy, "softmax": categorical_cross_entropy}
)


def output_activation(name: str, Z: Array) -> Array:
    """Logits (K, m) to probabilities A (K, m). ``softmax`` needs the logits of all K units at once."""
    return OUTPUT_ACTIVATIONS[name](Z)


def cost_from_logits(name: str, Z: Array, Y: Array) -> float:
    """The mean cost that belongs to the output activation ``name``: binary or categorical cross-entropy."""
    return _COSTS[name](Z, Y)


def output_delta(A: Array, Y: Array) -> Array:
    """The output layer's dZ, (K, m): A - Y, for sigmoid with binary and for softmax with categorical cross-entropy.

    It is each example's own gradient; the mean over the m examples is taken in ``linear_backward``.
    """
    return A - Y


def _bounded(Z: Array) -> npt.NDArray[np.float64]:
    return np.clip(Z.astype(np.float64, copy=False), -LARGEST_LOGIT, LARGEST_LOGIT)
