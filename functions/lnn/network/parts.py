"""One training step on a batch in parts, which may be differentiated side by side.

How a batch is cut depends on the batch and the network alone, and the parts' gradients are added in their order. So a
step has the same bits on any number of threads or processes, which more BLAS threads would not give.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lnn.network.clipping import Clipping
from lnn.network.dropout import Masks
from lnn.network.layers import penalty
from lnn.network.losses import cost_from_logits
from lnn.network.metrics import Tally
from lnn.network.model import Network, arrays_of, backward, batch_tally, update
from lnn.network.optimizers import Optimizer
from lnn.network.types import Array, Parameters, Slots

MOST_PARTS = 4
"""Of a batch. More would use more vCPUs than most functions have, and each costs calls and an addition."""

LEAST_MULTIPLICATIONS = 7_000_000
"""Of a part: examples times weights. A smaller one takes as long in Python's calls as in the processor."""

LEAST_EXAMPLES = 256
"""Of a part. A product with fewer columns uses less of the processor."""

GRADIENT_BYTES = 32 * 2**20
"""Of all parts' gradients together, which memory has besides: a network whose gradients are larger is cut less."""


def cut(examples: int, weights: int, item: int) -> list[slice]:
    """A batch of so many examples in parts of nearly equal length; a weight takes ``item`` bytes.

    The number of parts is a power of two, which the vCPUs of a function share evenly.
    """
    most = min(
        MOST_PARTS,
        examples * weights // LEAST_MULTIPLICATIONS,
        examples // LEAST_EXAMPLES,
        GRADIENT_BYTES // (weights * item),
    )
    parts = 1 << (max(most, 1).bit_length() - 1)
    return [slice(*ends) for ends in pairwise(examples * part // parts for part in range(parts + 1))]


class Part(NamedTuple):
    """Some examples of a batch."""

    X: Array
    """(n, examples)"""
    Y: Array
    """(units of the output, examples)"""
    masks: Masks = ()
    """Of dropout, for these examples."""


class Differentiated(NamedTuple):
    """What a part of a batch adds to a step."""

    cost: float
    """Sum of the examples' costs, without L2's penalty."""
    seen: Tally
    """Without the cost."""
    gradients: Parameters
    """What the part adds to the gradient of the batch's mean cost, without L2."""


def differentiate(
    network: Network, params: Parameters, part: Part, m: int, out: Parameters | None = None
) -> Differentiated:
    """The part's share of a batch of ``m`` examples; ``out`` receives the gradients, if they have a place already."""
    X, Y, masks = part
    output = network.activations[-1]
    passed = network.forward(params, X, masks)
    cost = cost_from_logits(output, passed.logits, Y, network.loss) * Y.shape[1]
    seen = batch_tally(output, passed.A[-1], Y)
    steps = backward(params, passed, Y, network.activations, 0.0, m, out, network.loss, masks)
    gradients = [(dW, db) for _, dW, db in steps][::-1]
    if out is None:
        return Differentiated(cost, seen, gradients)
    for (_, place), (_, db) in zip(out, gradients, strict=True):  # dW is in its place already
        place[...] = db
    return Differentiated(cost, seen, out)


def update_by_parts(
    network: Network,
    params: Parameters,
    slots: Slots,
    found: Sequence[Differentiated],
    m: int,
    optimizer: Optimizer,
    t: int,
    clipping: Clipping | None = None,
) -> tuple[float, Tally]:
    """As ``train_step``, on a batch of ``m`` examples from what its parts add; the gradients are overwritten."""
    cost = sum(one.cost for one in found) / m + penalty((W for W, _ in params), network.l2, m)
    gradients = found[0].gradients
    for one in found[1:]:
        add(one.gradients, gradients)
    if network.l2:
        for (dW, _), (W, _) in zip(gradients, params, strict=True):
            np.add(dW, (network.l2 / m) * W, out=dW)
    layers = [(layer, dW, db) for layer, (dW, db) in enumerate(gradients)]
    if clipping is not None:
        clipping.clip(arrays_of(layers))
    update(params, slots, layers, optimizer, t)
    return cost, Tally.total(one.seen for one in found)


def add(gradients: Parameters, to: Parameters) -> None:
    """Add gradients to others, in place."""
    for layer, sums in zip(gradients, to, strict=True):
        for gradient, total in zip(layer, sums, strict=True):
            np.add(total, gradient, out=total)
