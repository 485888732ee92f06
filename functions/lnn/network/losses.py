"""The output layer: its activation, its cost from the logits, and the gradient that starts the backward pass.

Cross-entropy is computed from the logits Z and not from the probabilities A, so there is no log(0): it is finite for
every Z without NaN, even when training diverges. Costs are summed in float64 whatever Z's dtype.

The losses of regression are means over the examples and the targets, defined as PyTorch's ``MSELoss``, ``L1Loss`` and
``HuberLoss`` with their defaults: mse has no factor of one half (scikit-learn's ``MLPRegressor`` has one).

Weights of classes, or of examples, weight each example's loss. The mean is still over the number of examples, not over
their weights, as in Keras (PyTorch and scikit-learn divide by the sum of a batch's weights).

Where examples have weights of their own, Y has them as one row more than there are units in the output, its last.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from lnn.network.activations import sigmoid, softmax
from lnn.network.metrics import predicted_classes
from lnn.network.types import Array

LINEAR = "linear"
"""The output activation of regression: A = Z."""

CROSS_ENTROPY = "cross_entropy"


@dataclass(frozen=True, slots=True)
class Loss:
    """What training minimizes."""

    name: str = CROSS_ENTROPY
    """Cross-entropy, or of a linear output a name of ``REGRESSION_LOSSES``."""
    class_weight: Sequence[float] = ()
    """How much an example of each class counts; empty where all count alike."""

    def weights(self, Y: Array, own: Array | None = None) -> Array | None:
        """The weight of each example of Y (units of the output, m), (m,); None where all count alike.

        ``own`` (m,) are the weights that the examples have themselves: the weight of its class multiplies each.
        """
        if not self.class_weight:
            return own
        weights: Array = np.asarray(self.class_weight, Y.dtype)[predicted_classes(Y)]
        return weights if own is None else weights * own


UNWEIGHTED = Loss()


def balanced_weights(counts: Sequence[int]) -> list[float]:
    """Weights by which all classes count alike: n / (classes * count), as scikit-learn's "balanced".

    ``counts`` are the n examples of each class. A class without any has weight 1 and does not count as one.
    """
    classes = np.count_nonzero(counts)
    return [sum(counts) / (classes * count) if count else 1.0 for count in counts]


DELTA = 1.0
"""Error up to which ``huber`` is quadratic (Huber 1964, "Robust estimation of a location parameter")."""

LARGEST_LOGIT = 1e290
"""A cost clips logits to this, so that a sum of even 10^17 of them stays below float64's 1.8e308."""


def binary_cross_entropy(Z: Array, Y: Array, weights: Array | None = None) -> float:
    """Mean over the examples of -[Y log A + (1 - Y) log(1 - A)], A = sigmoid(Z), summed over the units.

    Z and Y are (units, m), Y of zeros and ones; ``weights`` (m,) of the examples' losses. With one unit it is the usual
    binary loss; with K units it is K one-vs-all classifiers. It is log(1 + e^z) = max(z, 0) + log1p(e^-|z|), z being -Z
    where Y is 1 and Z where 0.
    """
    z = (1.0 - 2.0 * (Y > 0.5)) * _bounded(Z)
    losses = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
    return float((losses if weights is None else losses * weights).sum() / Z.shape[1])


def categorical_cross_entropy(Z: Array, Y: Array, weights: Array | None = None) -> float:
    """Mean over the examples of -log A[class], A = softmax(Z). Z and one-hot Y are (K, m), ``weights`` (m,).

    -log softmax(Z)[k] = log(sum_j e^(Z_j - max)) - (Z_k - max): the log-sum-exp form.
    """
    z = _bounded(Z)
    z = z - z.max(axis=0, keepdims=True)
    losses = np.log(np.exp(z).sum(axis=0)) - (z * Y).sum(axis=0)
    return float((losses if weights is None else losses * weights).sum() / Z.shape[1])


def mean_squared_error(Z: Array, Y: Array, weights: Array | None = None) -> float:
    """Mean of (Z - Y)^2 over the examples and targets. Z and Y are (targets, m); it is infinite if it overflows.

    ``weights`` (m,) are of the examples' losses, here as below.
    """
    return _mean(np.square(_difference(Z, Y)), weights)


def mean_absolute_error(Z: Array, Y: Array, weights: Array | None = None) -> float:
    """Mean of |Z - Y| over the examples and targets. Z and Y are (targets, m)."""
    return _mean(np.abs(_difference(Z, Y)), weights)


def huber(Z: Array, Y: Array, weights: Array | None = None) -> float:
    """Mean over the examples and targets of e^2 / 2 where |e| <= DELTA, else DELTA (|e| - DELTA / 2), e = Z - Y."""
    size = np.abs(_difference(Z, Y))
    inner = np.minimum(size, DELTA)
    return _mean(inner * (size - inner / 2), weights)


def _mean(losses: npt.NDArray[np.float64], weights: Array | None) -> float:
    return float((losses if weights is None else losses * weights).mean())


def linear(Z: Array) -> Array:
    """Z itself."""
    return Z


OUTPUT_ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {"sigmoid": sigmoid, "softmax": softmax, LINEAR: linear}
)
"""Activations an output layer may have."""

REGRESSION_LOSSES: Mapping[str, Callable[[Array, Array, Array | None], float]] = MappingProxyType(
    {"mse": mean_squared_error, "mae": mean_absolute_error, "huber": huber}
)
"""Losses that a linear output may have; the others have cross-entropy."""

_CROSS_ENTROPIES: Mapping[str, Callable[[Array, Array, Array | None], float]] = MappingProxyType(
    {"sigmoid": binary_cross_entropy, "softmax": categorical_cross_entropy}
)


def output_activation(name: str, Z: Array) -> Array:
    """Logits (K, m) to probabilities A (K, m), or Z itself. ``softmax`` needs the logits of all K units at once."""
    return OUTPUT_ACTIVATIONS[name](Z)


def cost_from_logits(name: str, Z: Array, Y: Array, loss: Loss = UNWEIGHTED) -> float:
    """The mean cost of an output activation ``name``: its cross-entropy, or for a linear output the loss named."""
    Y, own = without_weights(Y, len(Z))
    weights = loss.weights(Y, own)
    if name != LINEAR:
        return _CROSS_ENTROPIES[name](Z, Y, weights)
    with np.errstate(over="ignore", invalid="ignore"):  # a training that diverges overflows on its way
        return REGRESSION_LOSSES[loss.name](Z, Y, weights)


def without_weights(Y: Array, units: int) -> tuple[Array, Array | None]:
    """Y (units, m) without the row of the examples' own weights, and these, (m,); None where Y has no such row."""
    return (Y[:units], Y[units]) if len(Y) > units else (Y, None)


def output_delta(A: Array, Y: Array, loss: Loss = UNWEIGHTED) -> Array:
    """The output layer's dZ, (K, m): A - Y, for sigmoid with binary and for softmax with categorical cross-entropy.

    It is each example's own gradient, times its weight; the mean over the m examples is taken in ``linear_backward``.
    For a linear output it is 2 (A - Y), sign(A - Y), or A - Y cut to -DELTA and DELTA, each divided by the number of
    targets.
    """
    Y, own = without_weights(Y, len(A))
    error, weights = A - Y, loss.weights(Y, own)
    if loss.name == CROSS_ENTROPY:
        return error if weights is None else error * weights
    if loss.name == "mse":
        error *= 2
    elif loss.name == "mae":
        np.sign(error, out=error)
    else:
        np.clip(error, -DELTA, DELTA, out=error)
    if len(error) > 1:
        error /= len(error)
    return error if weights is None else error * weights


def _difference(Z: Array, Y: Array) -> npt.NDArray[np.float64]:
    difference: npt.NDArray[np.float64] = Z.astype(np.float64, copy=False) - Y
    return difference


def _bounded(Z: Array) -> npt.NDArray[np.float64]:
    return np.clip(Z.astype(np.float64, copy=False), -LARGEST_LOGIT, LARGEST_LOGIT)
