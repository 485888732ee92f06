"""A fully connected layer: the forward pass beside the backward pass.

Every function takes the whole layer or any block of its rows (units): a neuron is the block of one row.
Formulas as in A. Ng, "Neural Networks and Deep Learning", week 4; L2 as there and in scikit-learn, over the m
examples of the batch: cost + l2/(2m) * sum ||W||^2, biases left out.
"""

from collections.abc import Iterable

import numpy as np

from lnn.network.activations import ACTIVATIONS
from lnn.network.types import Array

LARGEST_PENALTY = 1e300


def linear_forward(W: Array, b: Array, A_prev: Array) -> Array:
    """Z = W A_prev + b. W (units, units_prev), b (units, 1), A_prev (units_prev, m) -> Z (units, m).

    Z is finite if W, b and A_prev are: values that overflow are clipped to the dtype's largest.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        Z: Array = W @ A_prev
        Z += b
    if not np.isfinite(Z).all() and np.isfinite(W).all() and np.isfinite(A_prev).all():
        Z = _saturated_forward(W, b, A_prev)
    return Z


def _saturated_forward(W: Array, b: Array, A_prev: Array) -> Array:
    """``linear_forward`` for sums that overflow, where inf - inf would be NaN: scale down, multiply, clip."""
    scale_W, scale_A = np.abs(W).max(), np.abs(A_prev).max()
    largest = np.finfo(W.dtype).max
    with np.errstate(over="ignore"):
        Z: Array = (W / scale_W) @ (A_prev / scale_A) * scale_W * scale_A
        np.clip(Z, -largest, largest, out=Z)
        Z += b
    return np.clip(Z, -largest, largest, out=Z)


def linear_backward(
    dZ: Array, A_prev: Array, W: Array, l2: float, out: Array | None = None, m: int | None = None
) -> tuple[Array, Array]:
    """The layer's gradients: dW = dZ A_prev^T / m + (l2/m) W and db = sum(dZ) / m.

    dZ (units, m), A_prev (units_prev, m), W (units, units_prev) -> dW (units, units_prev), db (units, 1). ``out``
    receives dW: allocating a large array costs more than filling it. If dZ covers only some examples of a batch, ``m``
    is the size of the whole batch; the gradients of the parts then add up to the batch's.
    """
    m = m or dZ.shape[1]
    dZ = dZ / m  # before the product: m columns to divide, not units_prev
    db: Array = dZ.sum(axis=1, keepdims=True)
    dW: Array = np.matmul(dZ, A_prev.T, out=out)
    if l2:
        dW += (l2 / m) * W
    return dW, db


def propagate_delta(W_next: Array, dZ_next: Array, kept: Array, activation: str, mask: Array | None = None) -> Array:
    """This layer's dZ from the next layer's: dZ = (W_next^T dZ_next) * g'(Z), times the mask of its dropout.

    dZ_next (units_next, m), W_next (units_next, units), ``kept`` (units, m), this layer's A, or Z where the activation
    keeps it -> dZ (units, m). For a block of this layer's rows pass those rows of ``kept`` and ``mask``, and the same
    columns of W_next.
    """
    # One unit above makes an outer product, for which BLAS takes several times as long.
    dZ: Array = W_next.T * dZ_next if len(W_next) == 1 else W_next.T @ dZ_next
    dZ *= ACTIVATIONS[activation].derivative(kept)
    if mask is not None:
        dZ *= mask
    return dZ


def penalty(Ws: Iterable[Array], l2: float, m: int) -> float:
    """The L2 part of the cost: l2/(2m) * sum of the squares of all weights; in float64, and finite if they are."""
    if not l2:
        return 0.0
    with np.errstate(over="ignore"):
        squares = sum(float(np.square(W, dtype=np.float64).sum()) for W in Ws)
        return min(l2 / (2 * m) * squares, LARGEST_PENALTY)
