"""A worker's block of the first layer: its weights, and what of the examples they are multiplied with."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from lnn.network import linear_backward, sum_of_squares, take_examples, weight_gradient
from lnn.network.batches import Batch
from lnn.network.optimizers import Optimizer
from lnn.network.types import Array

PANEL_FEATURES = 1024
"""Features that are gone over twice at a time: so many stay in the processor's cache meanwhile."""

TILE_FEATURES = 64
SMALL_PRODUCT = 10**6
"""Multiplications up to which OpenBLAS takes a product's factors as they lie in memory (``interface/gemm.c`` and its
kernels' permits). Larger ones it copies into another order first, which takes as long as the product itself where a
layer has few units: it is made in tiles of features then."""


Clip: TypeAlias = Callable[[float], float]
"""Given the sum of the squares of a block's gradient, what to multiply it by."""


class FirstLayer(Protocol):
    """A block (units, n) of W1, with the optimizer's memory for it.

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

    def validation_product(self) -> Array:
        """(W X)^T, (m, units), of the validation set."""

    def use(self, weights: Array) -> None:
        """Take other weights (units, n)."""

    def sum_of_squares(self) -> float:
        """Of the weights, for L2's penalty."""

    def update(self, dZ: Array, optimizer: Optimizer, t: int, l2: float, clip: Clip | None = None) -> None:
        """Update number ``t``, with dZ (units, m) of the examples of the latest ``train_product``."""


class Unpaneled:
    """Any batches, a whole product at a time: three sets (n, m of the set), the block and its slots (units, n)."""

    def __init__(self, X: Array, X_test: Array, X_validation: Array, block: Array, slots: Sequence[Array]) -> None:
        # A copy only of some features.
        self._X, self._X_test, self._X_validation = (np.ascontiguousarray(of.T).T for of in (X, X_test, X_validation))
        self._batch_X = self._X
        self.weights, self.slots = block.copy(), [slot.copy() for slot in slots]
        self._dW = np.empty_like(self.weights)

    def train_product(self, batch: Batch) -> Array:
        self._batch_X = take_examples(self._X, batch)
        return self._product(self._batch_X)

    def test_product(self) -> Array:
        return self._product(self._X_test)

    def validation_product(self) -> Array:
        return self._product(self._X_validation)

    def use(self, weights: Array) -> None:
        self.weights[...] = weights

    def sum_of_squares(self) -> float:
        return sum_of_squares(self.weights)

    def update(self, dZ: Array, optimizer: Optimizer, t: int, l2: float, clip: Clip | None = None) -> None:
        dW, _ = linear_backward(dZ, self._batch_X, self.weights, l2, out=self._dW)
        if clip is not None:
            dW *= clip(sum_of_squares(dW))
        optimizer.update_weights(self.weights, dW, self.slots, t)

    def _product(self, X: Array) -> Array:
        product: Array = X.T @ self.weights.T
        return product


class Paneled:
    """The full batch, panel by panel of features: a panel's weights are updated and at once multiplied again.

    So an epoch goes over the examples once, not twice: the product that the next epoch begins with is made of a panel
    that is still in the processor's cache. The rows of the test and the validation set go along, asked for or not. It
    takes what ``Unpaneled`` takes, and copies the examples.

    Everything is in tiles of ``w`` features, of which a panel has one or many; the last may be filled up with zeros,
    which stay zeros: rows (tiles, examples of the three sets, w), weights, slots and gradient (tiles, units, w).
    """

    def __init__(self, X: Array, X_test: Array, X_validation: Array, block: Array, slots: Sequence[Array]) -> None:
        units, self._features = block.shape
        self._m, tests, validation = (of.shape[1] for of in (X, X_test, X_validation))
        examples = self._m + tests + validation
        self._test, self._validation = slice(self._m, self._m + tests), slice(self._m + tests, examples)
        self._small = units * examples * TILE_FEATURES <= SMALL_PRODUCT
        # As many tiles as are needed, all of one width.
        tiles = -(-self._features // (TILE_FEATURES if self._small else PANEL_FEATURES))
        width = -(-self._features // tiles)
        # Into its place at once: of X there is no memory for another copy.
        self._rows = np.zeros((tiles, examples, width), X.dtype)
        _put(X.T, self._rows[:, : self._m])
        _put(X_test.T, self._rows[:, self._test])
        _put(X_validation.T, self._rows[:, self._validation])
        self._weights = _in_tiles(block, tiles, width)
        self._slots = [_in_tiles(slot, tiles, width) for slot in slots]
        self._gradient = np.empty_like(self._weights)
        step = max(1, PANEL_FEATURES // width)
        self._panels = [slice(start, start + step) for start in range(0, tiles, step)]
        self._product = np.zeros((examples, units), block.dtype)
        self._multiply()

    @property
    def weights(self) -> Array:
        return self._whole(self._weights)

    @property
    def slots(self) -> list[Array]:
        return [self._whole(slot) for slot in self._slots]

    def train_product(self, batch: Batch) -> Array:
        if batch is not None:
            raise ValueError("panels are for the full batch")
        return self._product[: self._m]

    def test_product(self) -> Array:
        return self._product[self._test]

    def validation_product(self) -> Array:
        return self._product[self._validation]

    def use(self, weights: Array) -> None:
        _put(weights, self._weights)
        self._product.fill(0)
        self._multiply()

    def sum_of_squares(self) -> float:
        return sum_of_squares(self._weights)

    def update(self, dZ: Array, optimizer: Optimizer, t: int, l2: float, clip: Clip | None = None) -> None:
        if clip is not None:
            raise ValueError("a panel is updated before the gradients of the others are known")
        dZ = dZ / self._m
        decay = l2 / self._m
        self._product.fill(0)
        for panel in self._panels:
            weights, X = self._weights[panel], self._rows[panel, : self._m].swapaxes(1, 2)
            dW = weight_gradient(dZ, X, weights, decay, out=self._gradient[panel])
            optimizer.update_weights(weights, dW, [slot[panel] for slot in self._slots], t)
            self._add_product(panel)

    def _multiply(self) -> None:
        for panel in self._panels:
            self._add_product(panel)

    def _add_product(self, panel: slice) -> None:
        rows, turned = self._rows[panel], self._weights[panel].swapaxes(1, 2)
        if self._small:
            # OpenBLAS has no small product for a second factor that is turned.
            self._product += (rows @ np.ascontiguousarray(turned)).sum(axis=0)
        else:
            for tile, W_T in zip(rows, turned, strict=True):
                self._product += tile @ W_T

    def _whole(self, tiles: Array) -> Array:
        whole: Array = np.concatenate(list(tiles), axis=1)
        return np.ascontiguousarray(whole[:, : self._features])


def _in_tiles(matrix: Array, tiles: int, width: int) -> Array:
    """A matrix (rows, features) as (tiles, rows, width)."""
    new = np.zeros((tiles, len(matrix), width), matrix.dtype)
    _put(matrix, new)
    return new


def _put(matrix: Array, tiles: Array) -> None:
    """A matrix (rows, features) into ``tiles`` (tiles, rows, width), which are zeros where it has no more features."""
    width = tiles.shape[2]
    for tile, start in zip(tiles, range(0, matrix.shape[1], width), strict=True):
        part = matrix[:, start : start + width]
        tile[:, : part.shape[1]] = part
