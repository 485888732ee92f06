"""Names for the arrays that the network passes around."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
"""float32 or float64; results have the dtype of the inputs."""

AnyArray: TypeAlias = npt.NDArray[Any]
"""An array of any dtype, such as a stored tensor."""

Labels: TypeAlias = npt.NDArray[np.int64]
"""Class indices, shape (m,)."""

Targets: TypeAlias = npt.NDArray[Any]
"""What a model is to predict, as it is stored: class indices (m,), or numbers (m, targets) in float64."""

Parameters: TypeAlias = list[tuple[Array, Array]]
"""(W, b) of each layer, the first layer first: W (units, units_prev), b (units, 1)."""

Slots: TypeAlias = list[tuple[list[Array], list[Array]]]
"""The optimizer's state for each layer's W and b; every array has the shape of its parameter."""
