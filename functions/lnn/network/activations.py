"""Activation functions of the hidden layers, each with its derivative, and softmax for the output.

A derivative takes the activation's *output* A = g(Z), so that the backward pass needs A alone and not Z.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lnn.network.types import Array

LEAK = 0.01
"""Slope of leaky_relu below zero (Maas, Hannun, Ng 2013, "Rectifier nonlinearities improve ... acoustic models")."""


@dataclass(frozen=True, slots=True)
class Activation:
    """``apply(Z) -> A`` and ``derivative(A) -> g'(Z)``, elementwise: any shape, same shape and dtype out."""

    name: str
    apply: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


def sigmoid(Z: Array) -> Array:
    """1 / (1 + e^-Z), with the exponential taken of -|Z| only, so that it never overflows."""
    e = np.exp(-np.abs(Z))
    A: Array = np.where(Z >= 0, Z.dtype.type(1), e) / (1 + e)
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
    A: Array = np.maximum(Z, 0)
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
    return np.where(A > 0, A.dtype.type(1), A.dtype.type(LEAK))


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
    }
)
"""Activations a hidden layer may have."""
