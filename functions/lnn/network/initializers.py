"""Initial parameters: biases are zero, weights normal with a variance that keeps activations at a steady scale."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lnn.network.types import Parameters

STREAM = 0
"""First spawn key of the initializer's random streams; ``batches`` has another, so that the two never share draws."""

RECTIFIERS = frozenset({"relu", "leaky_relu", "elu", "gelu", "silu"})
"""Activations that leave large Z as they are and cut off, or nearly, what is below zero."""

INITIALIZERS = ("zeros", "xavier", "he", "auto")


def spread(method: str, activation: str, n_in: int, n_out: int) -> float:
    """Standard deviation of a layer's weights, from its activation, its inputs and its units.

    he:     sqrt(2 / n_in), for relu kinds (He, Zhang, Ren, Sun 2015, "Delving deep into rectifiers", eq. 10)
    xavier: sqrt(2 / (n_in + n_out)) (Glorot, Bengio 2010, "Understanding the difficulty of training deep
            feedforward neural networks", eq. 12)
    zeros:  0, fit for logistic regression only: it has no symmetry between units to break
    auto:   he for the relu kinds (RECTIFIERS), xavier for the others
    """
    if method == "auto":
        method = "he" if activation in RECTIFIERS else "xavier"
    variance = {"zeros": 0.0, "he": 2 / n_in, "xavier": 2 / (n_in + n_out)}
    return math.sqrt(variance[method])


def init_parameters(
    sizes: Sequence[int], activations: Sequence[str], method: str, seed: int, dtype: npt.DTypeLike
) -> Parameters:
    """(W, b) of every layer, for ``sizes`` [n, units of layer 1, ..., units of layer L] and a name of INITIALIZERS.

    A layer's draw depends on ``seed``, the layer's number, shape and activation, and on nothing else.
    float32 weights are the float64 ones, rounded.
    """
    parameters: Parameters = []
    for layer, (n_in, n_out, activation) in enumerate(zip(sizes[:-1], sizes[1:], activations, strict=True)):
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAM, layer)))
        W = random.standard_normal((n_out, n_in))
        W *= spread(method, activation, n_in, n_out)
        parameters.append((W.astype(dtype, copy=False), np.zeros((n_out, 1), dtype)))
    return parameters
