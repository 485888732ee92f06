"""The network's matrices, made of stored examples and labels.

Apart from ``lnn.data.dataset``: Trainer and Neuron need no code that reads and checks files.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from lnn.errors import DatasetError


def standardize(x: npt.NDArray[Any], scale: float, out: npt.NDArray[np.floating[Any]]) -> None:
    """Standardize stored examples x (m, n) into ``out`` (m, n): convert to its dtype and divide by ``scale``.

    Raises DatasetError if a float64 value is too large for float32.
    """
    with np.errstate(over="ignore"):
        out[...] = x
    if scale != 1.0:
        out /= scale
    elif out.dtype.itemsize < x.dtype.itemsize and not np.isfinite(out).all():
        raise DatasetError(
            f'features: found values too large for {out.dtype.name}; use "dtype": "float64", or scale them down'
        )


def label_matrix(
    y: npt.NDArray[Any], units: int, dtype: npt.DTypeLike, weights: npt.NDArray[Any] | None = None
) -> npt.NDArray[np.floating[Any]]:
    """Class indices (m,) to the network's Y: (1, m) for one output unit, else one-hot (units, m).

    Numbers (m, targets) become Y (targets, m).

    ``units`` are those of the output layer: 1 for two classes with a sigmoid, otherwise one for each class. ``weights``
    (m,) of the examples become a last row of Y: see ``lnn.network.losses``.
    """
    if weights is not None:
        return np.vstack([label_matrix(y, units, dtype), weights.astype(dtype)])
    if y.ndim == 2:
        return y.T.astype(dtype, order="C")
    if units == 1:
        return y.astype(dtype)[np.newaxis]
    Y = np.zeros((units, len(y)), dtype)
    Y[y, np.arange(len(y))] = 1
    return Y
