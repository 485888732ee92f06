"""Inverted dropout: in training, a share of a hidden layer's outputs is 0, and the others are larger by as much.

N. Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting"; inverted, as in PyTorch
and Keras, so that nothing is scaled where a model predicts.

A mask depends on (seed, epoch, batch, layer) alone. So whoever computes any part of a batch, now or again after a
crash, has the same mask: a part of the examples, all of them, or one neuron.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lnn.network.types import Array

STREAM = 2
"""First spawn key of the masks' random streams (``initializers`` has 0, ``batches`` 1)."""

VALUES_OF_A_STATE = 8
"""Numbers of 32 bits that Philox makes of one state of its counter (Salmon et al. 2011, Philox4x64)."""

Masks = Sequence[Array | None]
"""For each hidden layer what its outputs (units, m) are multiplied by: 0 or 1 / (1 - rate); None where all stay."""

Positions = slice | npt.NDArray[np.int64]
"""Examples of a batch, by their place in it: consecutive ones (start and stop), or any."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """The dropout of a network's hidden layers."""

    rates: Sequence[float]
    """Share of each hidden layer's outputs that are 0."""
    units: Sequence[int]
    """Of each hidden layer."""
    seed: int

    def masks(self, epoch: int, batch: int, positions: Positions, dtype: npt.DTypeLike) -> Masks:
        """The masks of all hidden layers for these examples of a batch; epochs count from 1, batches from 0."""
        return [self.mask(layer, epoch, batch, positions, dtype) for layer in range(1, len(self.rates) + 1)]

    def mask(self, layer: int, epoch: int, batch: int, positions: Positions, dtype: npt.DTypeLike) -> Array | None:
        """The mask (units, examples) of a hidden layer, from 1; None where none of its outputs are dropped."""
        rate, units = self.rates[layer - 1], self.units[layer - 1]
        if not rate:
            return None
        place = epoch, batch, layer
        if isinstance(positions, slice):
            drawn = self._drawn(place, positions.start * units, positions.stop * units).reshape(-1, units)
        else:
            last = int(positions.max(initial=-1))
            drawn = self._drawn(place, 0, (last + 1) * units).reshape(-1, units)[positions]
        kept = drawn >= round(rate * 2**32)
        mask: Array = np.multiply(kept.T, 1 / (1 - rate), dtype=dtype, order="C")
        return mask

    def _drawn(self, place: tuple[int, int, int], start: int, stop: int) -> npt.NDArray[np.uint32]:
        """Numbers ``start`` to ``stop`` of the stream of an epoch, batch and layer; those before are not drawn."""
        stream = np.random.Philox(np.random.SeedSequence(self.seed, spawn_key=(STREAM, *place)))
        states, skipped = divmod(start, VALUES_OF_A_STATE)
        stream.advance(states)
        needed = skipped + stop - start
        drawn = stream.random_raw(-(-needed // 2)).view("<u4")
        return drawn[skipped:needed]
