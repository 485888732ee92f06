"""All parameters as one array, which can be cut into equal pieces and sent without a copy."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lnn.network.types import Array, Parameters


def layers_of(flat: Array, sizes: Sequence[int]) -> Parameters:
    """W and b of each layer as views of ``flat`` (values,), which holds W1, b1, W2, b2, ... in C order."""
    layers: Parameters = []
    end = 0
    for inputs, units in pairwise(sizes):
        start, middle, end = end, end + inputs * units, end + (inputs + 1) * units
        layers.append((flat[start:middle].reshape(units, inputs), flat[middle:end].reshape(units, 1)))
    return layers


def flattened(layers: Parameters, dtype: npt.DTypeLike) -> Array:
    """A new array (values,) with the parameters of all layers, in the order of ``layers_of``."""
    return np.concatenate([values.ravel() for layer in layers for values in layer]).astype(dtype, copy=False)


def weight_ranges(sizes: Sequence[int], start: int, stop: int) -> list[slice]:
    """The weights, without biases, in the piece ``flat[start:stop]``, as slices of the piece."""
    ranges = []
    end = 0
    for inputs, units in pairwise(sizes):
        first, last, end = end, end + inputs * units, end + (inputs + 1) * units
        if max(first, start) < min(last, stop):
            ranges.append(slice(max(first, start) - start, min(last, stop) - start))
    return ranges
