"""A worker's block of the first layer: its weights, and what of the examples they are multiplied with."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from lnn.network import linear_backward, sum_of_squares, take_examples
from lnn.network.batches import Batch
from lnn.network.optimizers import Optimizer
from lnn.network.types import Array

Clip: TypeAlias = Callable[[float], float]
"""Given the sum of the squares of a block's gradient, what to multiply it by."""


class FirstLayer:
    """A block (units, n) of W1, with the optimizer's memory for it, and three sets (n, m of the set) of examples.

    Products are transposed, examples first: faster than W X where W is wide and low.
    """

    def __init__(self, X: Array, X_test: Array, X_validation: Array, block: Array, slots: Sequence[Array]) -> None:
        # A copy only of some features.
        self._X, self._X_test, self._X_validation = (np.ascontiguousarray(of.T).T for of in (X, X_test, X_validation))
        self._batch_X = self._X
        self.weights, self.slots = block.copy(), [slot.copy() for slot in slots]
        self._dW = np.empty_like(self.weights)

    def train_product(self, batch: Batch) -> Array:
        """(W X)^T, (m, units), of a batch's examples."""
        self._batch_X = take_examples(self._X, batch)
        return self._product(self._batch_X)

    def test_product(self) -> Array:
        """(W X)^T, (m_test, units), of the test set."""
        return self._product(self._X_test)

    def validation_product(self) -> Array:
        """(W X)^T, (m, units), of the validation set."""
        return self._product(self._X_validation)

    def use(self, weights: Array) -> None:
        """Take other weights (units, n)."""
        self.weights[...] = weights

    def sum_of_squares(self) -> float:
        """Of the weights, for L2's penalty."""
        return sum_of_squares(self.weights)

    def update(self, dZ: Array, optimizer: Optimizer, t: int, l2: float, clip: Clip | None = None) -> None:
        """Update number ``t``, with dZ (units, m) of the examples of the latest ``train_product``."""
        dW, _ = linear_backward(dZ, self._batch_X, self.weights, l2, out=self._dW)
        if clip is not None:
            dW *= clip(sum_of_squares(dW))
        optimizer.update_weights(self.weights, dW, self.slots, t)

    def _product(self, X: Array) -> Array:
        product: Array = X.T @ self.weights.T
        return product
