"""How a gradient changes a parameter: sgd, momentum, adam.

All elementwise and in place, so a row updated alone ends with the same bits as in its whole matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from lnn.network.types import Array

MOMENTUM = 0.9
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""As in the paper: Kingma, Ba 2015, "Adam: a method for stochastic optimization", algorithm 1."""

OPTIMIZERS: Mapping[str, int] = MappingProxyType({"sgd": 0, "momentum": 1, "adam": 2})
"""Every optimizer, with the number of arrays it keeps for each parameter."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An update rule; what it remembers between updates is in the caller's ``slots``."""

    name: str
    learning_rate: float

    @property
    def slots(self) -> int:
        """How many arrays of the parameter's shape ``update`` needs: 0, 1 (velocity) or 2 (mean, mean square)."""
        return OPTIMIZERS[self.name]

    def new_slots(self, param: Array) -> list[Array]:
        """The slots of a parameter that has not been updated yet: zeros of its shape and dtype."""
        return [np.zeros_like(param) for _ in range(self.slots)]

    def update(self, param: Array, grad: Array, slots: Sequence[Array], t: int) -> None:
        """Change ``param`` and ``slots`` in place; ``grad`` is worked in, and spent. ``t`` counts updates from 1.

        sgd:       param -= rate * grad
        momentum:  v = 0.9 v + grad;  param -= rate * v      (Polyak 1964; Sutskever et al. 2013)
        adam:      mean and mean square of the gradient, each corrected for having started at zero
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
