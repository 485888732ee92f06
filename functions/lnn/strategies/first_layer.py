"""A worker's block of the first layer: its weights, and what of the examples they are multiplied with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from lnn.network import linear_backward, take_examples
from lnn.network.batches import Batch
from lnn.network.optimisers import Optimiser
from lnn.network.types import Array

PANEL_FEATURES = 1536
"""Features that are gone over twice at a time: as fast as any of 750 to 1,500; with twice as many the gain is gone."""


class FirstLayer(Protocol):
    """A block (units, n) of W1, with the optimiser's memory for it.

    Products are transposed, examples first: faster than W X where W is wide and low. They are read only.
    """

    @property
    def weights(self) -> Array: ...

    @property
    def slots(self) -> list[Array]: ...

    def train_product(self, batch: Batch) -> Array:
        """(W X)^T, (m, units), of a batch's examples."""

    def test_product(self) -> Array:
        """(W X)^T, (m_test, units), of the test set."""

    def sum_of_squares(self) -> float:
        """Of the weights, for L2's penalty."""

    def update(self, dZ: Array, optimiser: Optimiser, t: int, l2: float) -> None:
        """Update number ``t``, with dZ (units, m) of the examples of the latest ``train_product``."""


class Plain:
    """Any batches: X (n, m), X_test (n, m_test), the block and its slots (units, n)."""

    def __init__(self, X: Array, X_test: Array, block: Array, slots: Sequence[Array]) -> None:
        self._X, self._X_test = (np.ascontiguousarray(of.T).T for of in (X, X_test))  # a copy only of some features
        self._batch_X = self._X
        self.weights, self.slots = block.copy(), [slot.copy() for slot in slots]
        self._dW = np.empty_like(self.weights)

    def train_product(self, batch: Batch) -> Array:
        self._batch_X = take_examples(self._X, batch)
        return self._product(self._batch_X)

    def test_product(self) -> Array:
        return self._product(self._X_test)

    def sum_of_squares(self) -> float:
        return sum_of_squares(self.weights)

    def update(self, dZ: Array, optimiser: Optimiser, t: int, l2: float) -> None:
        dW, _ = linear_backward(dZ, self._batch_X, self.weights, l2, out=self._dW)
        optimiser.update(self.weights, dW, self.slots, t)

    def _product(self, X: Array) -> Array:
        product: Array = X.T @ self.weights.T
        return product


@dataclass(frozen=True, slots=True)
class Panel:
    """Some features of all examples, (m + m_test, features), with the weights, slots and gradient of these."""

    rows: Array
    weights: Array
    slots: list[Array]
    gradient: Array


class Panelled:
    """The full batch, panel by panel of features: a panel's weights are updated and at once multiplied again.

    So an epoch goes over the examples once, not twice: the product that the next epoch begins with is made of a panel
    that is still in the processor's cache. The test set's rows go along, asked for or not. Takes what ``Plain`` takes,
    and copies the examples.
    """

    def __init__(self, X: Array, X_test: Array, block: Array, slots: Sequence[Array]) -> None:
        self._m = X.shape[1]
        count = -(-len(X) // PANEL_FEATURES)
        bounds = pairwise(len(X) * part // count for part in range(count + 1))
        self._panels = [
            Panel(
                rows=np.ascontiguousarray(np.concatenate([X[first:end].T, X_test[first:end].T])),
                weights=block[:, first:end].copy(),
                slots=[slot[:, first:end].copy() for slot in slots],
                gradient=np.empty((len(block), end - first), block.dtype),
            )
            for first, end in bounds
        ]
        self._product = np.zeros((self._m + X_test.shape[1], len(block)), block.dtype)
        for panel in self._panels:
            self._add_product(panel)

    @property
    def weights(self) -> Array:
        return np.concatenate([panel.weights for panel in self._panels], axis=1)

    @property
    def slots(self) -> list[Array]:
        return [
            np.concatenate(of_slot, axis=1) for of_slot in zip(*(panel.slots for panel in self._panels), strict=True)
        ]

    def train_product(self, batch: Batch) -> Array:
        if batch is not None:
            raise ValueError("panels are for the full batch")
        return self._product[: self._m]

    def test_product(self) -> Array:
        return self._product[self._m :]

    def sum_of_squares(self) -> float:
        return sum(sum_of_squares(panel.weights) for panel in self._panels)

    def update(self, dZ: Array, optimiser: Optimiser, t: int, l2: float) -> None:
        self._product.fill(0)
        for panel in self._panels:
            dW, _ = linear_backward(dZ, panel.rows[: self._m].T, panel.weights, l2, out=panel.gradient)
            optimiser.update(panel.weights, dW, panel.slots, t)
            self._add_product(panel)

    def _add_product(self, panel: Panel) -> None:
        self._product += panel.rows @ panel.weights.T


def sum_of_squares(weights: Array) -> float:
    return float(np.square(weights, dtype=np.float64).sum())
