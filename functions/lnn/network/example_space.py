"""Training in example space: exact updates of the first layer that never touch its weights.

With n features and m < n examples, every gradient of W1 is dZ1 X^T / m: a combination of the m examples. So W1
never leaves the span of its start and the examples,

    W1 = c W1_start + P X^T                      c a number, P (units, m)

and the rest of the network uses only U = W1 X, (units, m), whose update needs no W1:

    plain:          W1 -= rate (dZ1 X^T / m + l2/m W1)      2 n m multiplications for each unit: this, and W1 X
    example space:  U  -= rate (dZ1 K   / m + l2/m U)       m m for each unit, with K = X^T X computed once

W1 is computed once, at the end. Momentum, Nesterov's too, is linear in the gradient, so the velocity has the same form.
Adam divides by a root of squared gradient entries, which is not linear. docs/example-space.md has the derivation.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lnn.network.batches import Batch
from lnn.network.clipping import Clipping
from lnn.network.dropout import Masks
from lnn.network.losses import UNWEIGHTED, Loss
from lnn.network.metrics import Tally, class_counts
from lnn.network.model import ALL, arrays_of, differentiate_above, output_above, tally_above, update
from lnn.network.optimizers import Optimizer
from lnn.network.types import Array, Labels, Parameters, Slots, Targets


def is_exact(optimizer: str) -> bool:
    """True when the optimizer's update is linear in the gradient, so that the formulation is exact."""
    return optimizer in {"sgd", "momentum", "nesterov"}


def multiplications(sizes: Sequence[int], examples: int, test_examples: int, epochs: int) -> int:
    """Multiplications of the first layer in example space: K, K_test, U, W1 at the end, and every epoch."""
    n, units = sizes[0], sizes[1]
    once = n * examples * (examples + test_examples) + 2 * units * n * examples + units * n * test_examples
    return once + epochs * units * examples * (examples + test_examples)


def plain_multiplications(sizes: Sequence[int], examples: int, test_examples: int, epochs: int) -> int:
    """Multiplications of the first layer in the plain formulation: W1 X, dZ1 X^T and W1 X_test in every epoch."""
    return epochs * sizes[1] * sizes[0] * (2 * examples + test_examples)


class ExampleSpace:
    """A network in training whose first layer is in example space.

    ``params`` and ``slots`` change in place, except W1 and its slot, which ``first_layer`` computes.
    """

    def __init__(
        self,
        params: Parameters,
        slots: Slots,
        X: Array,
        X_test: Array,
        optimizer: Optimizer,
        activations: Sequence[str],
        l2: float,
        state: Mapping[str, Array] | None = None,
        loss: Loss = UNWEIGHTED,
        X_validation: Array | None = None,
        clipping: Clipping | None = None,
    ) -> None:
        """X (n, m), and the examples of the test set and the validation set, if there is one.

        ``state`` comes from an earlier object's ``state()``; it is None at the start.
        At the start the optimizer's slots must be zero.
        """
        self._params, self._slots = params, slots
        self._X = X
        self._optimizer, self._activations, self._l2, self._loss = optimizer, activations, l2, loss
        self._clipping = clipping
        self._momentum = optimizer.slots > 0
        self._W_start: Array = params[0][0].copy() if state is None else state["W_start"]
        self._K: Array = X.T @ X
        sets = (X_test,) if X_validation is None else (X_test, X_validation)
        self._held_out = [(X.T @ of, self._W_start @ of) for of in sets]
        self._U_start: Array = self._W_start @ X
        self._square_start = float((self._W_start * self._W_start).sum(dtype=np.float64))
        zeros = np.zeros_like(self._U_start)
        # W1 = c W_start + P X^T and U = W1 X; the velocity is d W_start + Q X^T, and V = velocity X.
        self._U: Array = self._U_start.copy() if state is None else state["U"]
        self._P: Array = zeros.copy() if state is None else state["P"]
        self._V: Array = zeros.copy() if state is None else state["V"]
        self._Q: Array = zeros.copy() if state is None else state["Q"]
        self._c, self._d = (1.0, 0.0) if state is None else (float(state["c"]), float(state["d"]))
        self._move = np.empty_like(self._U)
        self._room: dict[int, tuple[Array, Array]] = {}

    def train_step(
        self, batch: Batch, Y: Array, t: int, optimizer: Optimizer | None = None, masks: Masks = ()
    ) -> tuple[float, Tally]:
        """As ``model.train_step``, on the examples of ``batch`` and their Y (units of the output, m of the batch).

        ``optimizer`` is this update's, where its learning rate is another than that of the updates before.
        """
        self._optimizer = optimizer or self._optimizer
        _, b1 = self._params[0]
        Z, K = self._of_batch(batch)
        Z += b1
        cost, seen, dZ, gradients = differentiate_above(
            self._params, Z, Y, self._activations, self._l2, ALL, self._loss, masks
        )
        m = Y.shape[1]
        cost += self._penalty(m)
        dZ /= m
        db = dZ.sum(axis=1, keepdims=True)
        decay = self._l2 / m
        np.matmul(dZ, K, out=self._move)
        if self._clipping is not None:
            factor = self._clipping.clip([db, *arrays_of(gradients)], self._gradient_square(dZ, batch, decay))
            dZ *= factor
            self._move *= factor
            decay *= factor
        update(self._params, self._slots, gradients, self._optimizer, t)
        self._optimizer.update(b1, db, self._slots[0][1], t)
        self._update_first_layer(dZ, batch, decay)
        return cost, seen

    def _of_batch(self, batch: Batch) -> tuple[Array, Array]:
        """The batch's columns of U, which the caller may overwrite, and its rows of K, in shared buffers."""
        m = self._K.shape[0] if batch is None else len(batch)
        if m not in self._room:  # of two sizes at most: the last batch may be short
            rows = 0 if batch is None else m
            self._room[m] = np.empty((len(self._U), m), self._U.dtype), np.empty((rows, len(self._K)), self._K.dtype)
        Z, K = self._room[m]
        if batch is None:
            np.copyto(Z, self._U)
            return Z, self._K
        # With mode "raise", numpy would buffer the output.
        return self._U.take(batch, axis=1, out=Z, mode="clip"), self._K.take(batch, axis=0, out=K, mode="clip")

    def _gradient_square(self, dZ: Array, batch: Batch, decay: float) -> float:
        """The sum of the squares of W1's gradient G = dZ X^T + decay W1, given ``_move`` = dZ K.

        ||G||^2 = <dZ, dZ K> + 2 decay <dZ, U> + decay^2 ||W1||^2, with the batch's columns of dZ K and U.
        """
        columns = ALL if batch is None else batch
        square = _inner(dZ, self._move[:, columns])
        if decay:
            square += 2 * decay * _inner(dZ, self._U[:, columns]) + decay**2 * self._weight_square()
        return max(0.0, square)  # rounding may leave a little less than nothing

    def _update_first_layer(self, dZ: Array, batch: Batch, decay: float) -> None:
        """``dZ`` is (units, m of the batch) and divided by m, ``_move`` is dZ K; ``decay`` is l2/m."""
        rate = self._optimizer.learning_rate
        if self._momentum:
            self._accelerate(dZ, batch, decay)
        if self._optimizer.name == "momentum":
            self._follow_velocity(rate)
            return
        self._follow_gradient(dZ, batch, rate, decay)
        if self._momentum:
            self._follow_velocity(rate * self._optimizer.momentum)

    def _accelerate(self, dZ: Array, batch: Batch, decay: float) -> None:
        """The velocity after the gradient: dZ for P's columns, ``_move`` for U."""
        momentum = self._optimizer.momentum
        self._V *= momentum
        self._Q *= momentum
        self._d *= momentum
        if decay:
            self._V += decay * self._U
            self._Q += decay * self._P
            self._d += decay * self._c
        self._V += self._move
        _add_columns(self._Q, dZ, batch)

    def _follow_velocity(self, rate: float) -> None:
        np.multiply(self._V, rate, out=self._move)
        self._U -= self._move
        np.multiply(self._Q, rate, out=self._move)
        self._P -= self._move
        self._c -= rate * self._d

    def _follow_gradient(self, dZ: Array, batch: Batch, rate: float, decay: float) -> None:
        """Overwrites ``dZ`` and ``_move``."""
        if decay:
            shrink = 1 - rate * decay
            self._U *= shrink
            self._P *= shrink
            self._c *= shrink
        self._move *= rate
        self._U -= self._move
        dZ *= -rate
        _add_columns(self._P, dZ, batch)

    def first_layer(self) -> tuple[Array, list[Array]]:
        """W1 (units, n) as it stands, and its slots."""
        W = self._put_together(self._c, self._P)
        return W, [self._put_together(self._d, self._Q)] if self._momentum else []

    def train_tally(self, y: Targets) -> Tally:
        """The sums over the training examples; ``y`` as in ``tally_of_output``."""
        return self._tally(self._U + self._params[0][1], y)

    def test_tally(self, y: Targets, Y: Array | None = None) -> Tally:
        """The sums over the test examples; ``y`` and ``Y`` as in ``tally_of_output``. It needs no W1."""
        return self._tally(self._first_z(*self._held_out[0]), y, Y)

    def test_counts(self, y: Labels) -> Labels:
        """The ``class_counts`` of the test examples, whose classes are y (m_test,)."""
        return class_counts(output_above(self._params, self._first_z(*self._held_out[0]), self._activations), y)

    def validation_tally(self, y: Targets, Y: Array | None = None) -> Tally:
        """The sums over the validation examples, as ``test_tally``."""
        return self._tally(self._first_z(*self._held_out[1]), y, Y)

    def _first_z(self, K: Array, U_start: Array) -> Array:
        Z: Array = self._P @ K
        Z += self._c * U_start
        Z += self._params[0][1]
        return Z

    def _tally(self, Z: Array, y: Targets, Y: Array | None = None) -> Tally:
        return tally_above(self._params, Z, self._activations, y, Y, self._loss)

    def first_layer_so_far(self) -> Callable[[], Array]:
        """What computes W1 as it stands now, whenever it is called."""
        share, coefficients = self._c, self._P.copy()
        return lambda: self._put_together(share, coefficients)

    def state(self) -> dict[str, Array]:
        """The state from which another object continues with the same bits, beside ``params`` and ``slots``."""
        tensors = {"W_start": self._W_start, "U": self._U, "P": self._P, "V": self._V, "Q": self._Q}
        return tensors | {"c": np.array(self._c), "d": np.array(self._d)}

    def _put_together(self, share: float, coefficients: Array) -> Array:
        W: Array = coefficients @ self._X.T
        W += share * self._W_start
        return W

    def _penalty(self, m: int) -> float:
        """The L2 penalty of layer 1."""
        if not self._l2:
            return 0.0
        square = self._weight_square()
        return self._l2 / (2 * m) * square if math.isfinite(square) else math.nan

    def _weight_square(self) -> float:
        """||W1||^2 = c^2 ||W_start||^2 + c <P, U_start> + <P, U>, since <W_start, P X^T> = <P, U_start>."""
        inner = self._c * float(np.vdot(self._P, self._U_start)) + float(np.vdot(self._P, self._U))
        return self._c**2 * self._square_start + inner


def _inner(one: Array, other: Array) -> float:
    """The sum of the products of two matrices' entries, in float64."""
    return float(np.multiply(one, other, dtype=np.float64).sum())


def _add_columns(target: Array, values: Array, batch: Batch) -> None:
    if batch is None:
        target += values
    else:
        target[:, batch] += values  # an example is in a batch once, so no column is added to twice
