"""Gradient clipping: a gradient whose norm over all parameters is above a limit is scaled down to the limit.

R. Pascanu, T. Mikolov, Y. Bengio 2013, "On the difficulty of training recurrent neural networks", algorithm 1;
PyTorch's ``clip_grad_norm_``, without the 1e-6 that it adds to the norm.
"""

import math
from collections.abc import Sequence

import numpy as np

from lnn.network.types import Array


class Clipping:
    """The limit, and the norm of the latest gradient.

    The norm is over all weights and biases, and over L2's part of the gradient, too.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.norm = 0.0
        """Of the latest gradient, before it was scaled."""

    def factor(self, squares: float) -> float:
        """What a gradient is to be multiplied by, of which ``squares`` is the sum of the squares of all entries."""
        self.norm = math.sqrt(squares)
        return 1.0 if self.norm <= self.limit else self.limit / self.norm

    def clip(self, gradients: Sequence[Array], others: float = 0.0) -> float:
        """Scale the gradients in place; returns the factor.

        ``others`` is the sum of the squares of the entries that are elsewhere, whose owners scale them.
        """
        factor = self.factor(others + sum(map(sum_of_squares, gradients)))
        if factor != 1.0:
            for gradient in gradients:
                np.multiply(gradient, factor, out=gradient)
        return factor


def sum_of_squares(values: Array) -> float:
    """The sum of the squares of all entries, in float64; infinite where it overflows."""
    with np.errstate(over="ignore"):
        return float(np.square(values, dtype=np.float64).sum())
