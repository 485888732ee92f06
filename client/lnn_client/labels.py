"""Whether labels are names of classes or numbers to predict."""

import numpy as np
from numpy.typing import NDArray

MAX_LABELS = 1_000
"""Classes that a table or an array may have."""
MAX_NUMBERS = 100
"""More different whole numbers than this are no classes, but quantities: regression."""


def are_quantities(numbers: NDArray[np.floating] | NDArray[np.integer]) -> bool:
    """Whether numbers are no names of classes: they have fractions, or too many different values."""
    different = np.unique(numbers[~np.isnan(numbers)])
    return len(different) > MAX_NUMBERS or bool((different % 1).any())
