"""Update rules: sgd, momentum, adam.

All work elementwise and in place, so that updating a row alone gives the same bits as updating its matrix.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lnn.network.types import Array

MOMENTUM = 0.9
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""As in the paper: Kingma, Ba 2015, "Adam: a method for stochastic optimization", algorithm 1."""

OPTIMIZERS: Mapping[str, int] = MappingProxyType({"sgd": 0, "momentum": 1, "adam": 2})
"""The optimizers, each with the number of arrays that it keeps for a parameter."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An update rule. The caller keeps its state between updates, in ``slots``."""

    name: str
    learning_rate: float

    @property
    def slots(self) -> int:
        """Number of arrays of the parameter's shape in ``slots``: 0, 1 (velocity) or 2 (mean, mean square)."""
        return OPTIMIZERS[self.name]

    def new_slots(self, param: Array) -> list[Array]:
        """The slots of a parameter that has not been updated yet: zeros of its shape and dtype."""
        return [np.zeros_like(param) for _ in range(self.slots)]

    def update(self, param: Array, grad: Array, slots: Sequence[Array], t: int) -> None:
        """Update ``param`` and ``slots`` in place; ``grad`` is overwritten. ``t`` counts updates from 1.

        sgd:       param -= rate * grad
        momentum:  v = 0.9 v + grad;  param -= rate * v      (Polyak 1964; Sutskever et al. 2013)
        adam:      m = b1 m + (1 - b1) grad;  s = b2 s + (1 - b2) grad^2
                   param -= rate * m / (1 - b1^t) / (sqrt(s / (1 - b2^t)) + 1e-8)      (Kingma, Ba 2015)
        """
        rate = self.learning_rate
        if self.name == "sgd":
            grad *= rate
        elif self.name == "momentum":
            (velocity,) = slots
            velocity *= MOMENTUM
            velocity += grad
            np.multiply(velocity, rate, out=grad)
        else:
            mean, square = slots
            mean *= BETA_1
            mean += (1 - BETA_1) * grad
            square *= BETA_2
            grad *= grad
            grad *= 1 - BETA_2
            square += grad
            root = square / (1 - BETA_2**t)
            np.sqrt(root, out=root)
            root += EPSILON
            np.multiply(mean, rate / (1 - BETA_1**t), out=grad)
            grad /= root
        param -= grad
