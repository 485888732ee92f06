"""Update rules: sgd, momentum, nesterov, adam, adamw.

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

OPTIMIZERS: Mapping[str, int] = MappingProxyType({"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2, "adamw": 2})
"""The optimizers, each with the number of arrays that it keeps for a parameter."""

CONSTANTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "sgd": {},
        **{name: {"momentum": MOMENTUM} for name in ("momentum", "nesterov")},
        **{name: {"beta1": BETA_1, "beta2": BETA_2, "epsilon": EPSILON} for name in ("adam", "adamw")},
    }
)
"""The constants in each optimizer's rule, with their usual values."""


@dataclass(frozen=True, slots=True)
class Optimizer:
    """An update rule. The caller keeps its state between updates, in ``slots``."""

    name: str
    learning_rate: float
    momentum: float = MOMENTUM
    beta1: float = BETA_1
    beta2: float = BETA_2
    epsilon: float = EPSILON
    weight_decay: float = 0.0
    """Of adamw: the share of a weight, times the learning rate, that every update takes away."""

    @property
    def slots(self) -> int:
        """Number of arrays of the parameter's shape in ``slots``: 0, 1 (velocity) or 2 (mean, mean square)."""
        return OPTIMIZERS[self.name]

    def new_slots(self, param: Array) -> list[Array]:
        """The slots of a parameter that has not been updated yet: zeros of its shape and dtype."""
        return [np.zeros_like(param) for _ in range(self.slots)]

    def decay(self, W: Array) -> None:
        """Shrink weights in place, before their update: W -= rate * weight_decay * W, apart from any gradient.

        Loshchilov, Hutter 2019, "Decoupled weight decay regularization", algorithm 2, with PyTorch's coefficient.
        Biases do not decay.
        """
        if self.weight_decay:
            W *= 1 - self.learning_rate * self.weight_decay

    def update_weights(self, W: Array, dW: Array, slots: Sequence[Array], t: int) -> None:
        """``decay``, then ``update``."""
        self.decay(W)
        self.update(W, dW, slots, t)

    def update(self, param: Array, grad: Array, slots: Sequence[Array], t: int) -> None:
        """Update ``param`` and ``slots`` in place; ``grad`` is overwritten. ``t`` counts updates from 1.

        sgd:       param -= rate * grad
        momentum:  v = momentum v + grad;  param -= rate * v      (Polyak 1964; Sutskever et al. 2013)
        nesterov:  v as above;  param -= rate * (grad + momentum v)      (Nesterov 1983, as PyTorch and Keras have it)
        adam:      m = beta1 m + (1 - beta1) grad;  s = beta2 s + (1 - beta2) grad^2
                   param -= rate * m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon)      (Kingma, Ba 2015)
        adamw:     the same; what sets it apart is ``decay``
        """
        rate = self.learning_rate
        if self.name == "sgd":
            grad *= rate
        elif self.name in {"momentum", "nesterov"}:
            (velocity,) = slots
            velocity *= self.momentum
            velocity += grad
            if self.name == "momentum":
                np.multiply(velocity, rate, out=grad)
            else:
                grad += self.momentum * velocity
                grad *= rate
        else:
            mean, square = slots
            mean *= self.beta1
            mean += (1 - self.beta1) * grad
            square *= self.beta2
            grad *= grad
            grad *= 1 - self.beta2
            square += grad
            root = square / (1 - self.beta2**t)
            np.sqrt(root, out=root)
            root += self.epsilon
            np.multiply(mean, rate / (1 - self.beta1**t), out=grad)
            grad /= root
        param -= grad
