"""Activation functions of the hidden layers, each with its derivative, and softmax for the output.

Where A = g(Z) tells the slope g'(Z), the derivative takes A, which the backward pass has anyway. gelu and silu fall and
rise, so that two Z have one A: their derivatives take Z, which is kept for them.

Where a function is made of two pieces, each element is the larger or smaller of both: ``where`` takes thirty times as
long, since the processor guesses wrong at every other element. For large Z the second operand is an array and no
number, for which numpy has no vector code.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lnn.network.types import Array

LEAK = 0.01
"""Slope of leaky_relu below zero (Maas, Hannun, Ng 2013, "Rectifier nonlinearities improve ... acoustic models")."""


GELU_SCALE, GELU_CUBE = math.sqrt(2 / math.pi), 0.044715
"""Of gelu's tanh form (Hendrycks, Gimpel 2016, "Gaussian error linear units", section 2)."""

GELU_SATURATED = 10.0
"""Beyond it, gelu's tanh is 1 in float64: larger Z are cut off there, so that their cube does not overflow."""


SMALL = 2048
"""Values that numpy goes through faster one by one than an array of zeros is made."""


@dataclass(frozen=True, slots=True)
class Activation:
    """``apply(Z) -> A`` and ``derivative(kept) -> g'(Z)``, elementwise: any shape, same shape and dtype out."""

    name: str
    apply: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    keeps_input: bool = False
    """The derivative takes Z, not A."""

    def kept(self, Z: Array, A: Array) -> Array:
        """What ``derivative`` takes: ``A``, or ``Z``."""
        return Z if self.keeps_input else A


def _zero(Z: Array) -> Array | int:
    """0, or where it pays as an array that is broadcast to Z."""
    return np.zeros(Z.shape[-1:], Z.dtype) if Z.size > SMALL else 0


def _is_not_below(Z: Array) -> Array:
    """1 where Z is at least 0, else 0."""
    return (Z >= 0).astype(Z.dtype)


def sigmoid(Z: Array) -> Array:
    """1 / (1 + e^-Z), with the exponential taken of -|Z| only, so that it never overflows."""
    e = np.exp(-np.abs(Z))
    A: Array = np.maximum(e, _is_not_below(Z)) / (1 + e)
    return A


def sigmoid_derivative(A: Array) -> Array:
    """A (1 - A)."""
    return A * (1 - A)


def tanh(Z: Array) -> Array:
    """Hyperbolic tangent, between -1 and 1."""
    return np.tanh(Z)


def tanh_derivative(A: Array) -> Array:
    """1 - A^2."""
    return 1 - A * A


def relu(Z: Array) -> Array:
    """Z above zero, 0 elsewhere."""
    A: Array = np.maximum(Z, _zero(Z))
    return A


def relu_derivative(A: Array) -> Array:
    """1 where the unit is on; 0 at and below zero."""
    return (A > 0).astype(A.dtype)


def leaky_relu(Z: Array) -> Array:
    """Z above zero, LEAK * Z elsewhere."""
    A: Array = np.maximum(Z, LEAK * Z)
    return A


def leaky_relu_derivative(A: Array) -> Array:
    """1 above zero, LEAK elsewhere; A has the sign of Z."""
    slope: Array = np.maximum(relu_derivative(A), np.full(A.shape[-1:], LEAK, A.dtype))
    return slope


def elu(Z: Array) -> Array:
    """Z above zero, e^Z - 1 elsewhere (Clevert, Unterthiner, Hochreiter 2016, with alpha = 1)."""
    A: Array = np.maximum(Z, np.expm1(np.minimum(Z, _zero(Z))))
    return A


def elu_derivative(A: Array) -> Array:
    """1 above zero, e^Z = A + 1 elsewhere; A has the sign of Z."""
    slope: Array = np.minimum(A, _zero(A)) + 1
    return slope


def gelu(Z: Array) -> Array:
    """Z/2 (1 + tanh(sqrt(2/pi) (Z + 0.044715 Z^3))), within 0.0005 of Z times the normal distribution function of Z."""
    return 0.5 * Z * (1 + _gelu_tanh(Z))


def gelu_derivative(Z: Array) -> Array:
    """(1 + t)/2 + Z/2 (1 - t^2) sqrt(2/pi) (1 + 3 * 0.044715 Z^2), where t is gelu's tanh."""
    t, z = _gelu_tanh(Z), np.clip(Z, -GELU_SATURATED, GELU_SATURATED)
    return 0.5 * (1 + t) + (0.5 * GELU_SCALE) * z * (1 - t * t) * (1 + 3 * GELU_CUBE * z * z)


def _gelu_tanh(Z: Array) -> Array:
    z = np.clip(Z, -GELU_SATURATED, GELU_SATURATED)
    return np.tanh(GELU_SCALE * (z + GELU_CUBE * z * z * z))


def silu(Z: Array) -> Array:
    """Z sigmoid(Z), also called swish (Elfwing, Uchibe, Doya 2018)."""
    return Z * sigmoid(Z)


def silu_derivative(Z: Array) -> Array:
    """Slope s (1 + Z (1 - s)), where s is sigmoid(Z)."""
    s = sigmoid(Z)
    return s * (1 + Z * (1 - s))


def softmax(Z: Array) -> Array:
    """Logits (K, m) to probabilities (K, m), every column summing to 1.

    The column's largest logit is subtracted first: the result is the same, and no exponential overflows.
    """
    with np.errstate(over="ignore"):  # the difference of two logits may overflow to -inf, and e^-inf is 0
        e = np.exp(Z - Z.max(axis=0, keepdims=True))
    A: Array = e / e.sum(axis=0, keepdims=True)
    return A


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "sigmoid": Activation("sigmoid", sigmoid, sigmoid_derivative),
        "relu": Activation("relu", relu, relu_derivative),
        "tanh": Activation("tanh", tanh, tanh_derivative),
        "leaky_relu": Activation("leaky_relu", leaky_relu, leaky_relu_derivative),
        "elu": Activation("elu", elu, elu_derivative),
        "gelu": Activation("gelu", gelu, gelu_derivative, keeps_input=True),
        "silu": Activation("silu", silu, silu_derivative, keeps_input=True),
    }
)
"""Activations a hidden layer may have."""
