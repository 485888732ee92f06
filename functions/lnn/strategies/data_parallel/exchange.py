"""How the workers of ``data`` add up an array that each of them has: a reduce-scatter, and an all-gather.

Parts are added in rank order, so that a rerun gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lnn.job.plan import WHOLE_UP_TO
from lnn.network.types import Array
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.resp import Buffer


def sum_own_piece(
    group: ProcessGroup, values: Array, figures: bytes, meanwhile: Callable[[], None] | None = None
) -> tuple[Array, list[Buffer]]:
    """This worker's piece of the sum over all workers of ``values``, and each worker's part.

    The piece of one or two workers is everything. A part begins with the ``figures`` of its worker, which are as long
    in all. ``meanwhile`` runs between sending and receiving.
    """
    rank = group.rank
    if group.size <= WHOLE_UP_TO:
        received = group.all_gather((figures, values.data), meanwhile)
        mine = values
    else:
        pieces = pieces_of(values, group.size)
        received = group.exchange([(figures, piece.data) for piece in pieces], meanwhile)
        mine = pieces[rank]
    received[rank] = figures
    first, *others = (
        mine if of == rank else piece_in(part, values.dtype, len(figures)) for of, part in enumerate(received)
    )
    own = first + others[0] if others else first.copy()
    for other in others[1:]:
        own += other
    return own, received


def gather_pieces(group: ProcessGroup, values: Array) -> None:
    """Give all workers the own piece of ``values``, and take theirs."""
    pieces = pieces_of(values, group.size)
    received = group.all_gather(pieces[group.rank].data)
    for peer in group.peers:
        pieces[peer][...] = piece_in(received[peer], values.dtype)


def pieces_of(values: Array, size: int) -> list[Array]:
    """Views of every worker's share of ``values``."""
    bounds = [len(values) * rank // size for rank in range(size + 1)]
    return [values[start:stop] for start, stop in pairwise(bounds)]


def piece_in(part: Buffer, dtype: npt.DTypeLike, offset: int = 0) -> Array:
    """The values after ``offset`` bytes of a part, as a view: there may be none."""
    raw: npt.NDArray[np.uint8] = np.frombuffer(part, np.uint8) if len(part) else np.empty(0, np.uint8)
    return raw[offset:].view(dtype)
