"""A worker's examples in a file on /tmp: downloaded from S3 in shards, read in blocks of limited size.

Memory holds the labels, one block and as many of the first examples as the worker has room for; the others are read
from the file whenever they are used. The file is read, not mapped: mapped pages count as the process's memory, and the
kernel maps many at a time.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from lnn.data.matrices import standardize
from lnn.errors import LnnError
from lnn.job.plan import Plan
from lnn.network.types import Array, Targets

if TYPE_CHECKING:
    from lnn.models.store import Artifacts

BLOCK_BYTES = 32 * 2**20
"""Approximate memory of a block: its examples as stored and standardized, and the layers' outputs for them."""

TOO_SHORT = "the file of this worker's examples is shorter than it was written"


class Block(NamedTuple):
    """Some of a worker's examples."""

    X: Array
    """(n, k)"""
    y: Targets
    """(k,) or (k, targets)"""
    weights: npt.NDArray[np.float64] | None
    """(k,); None where the set's examples have none."""


class OwnExamples:
    """Examples ``first`` to ``last`` (exclusive) of one set, standardized when they are read.

    The file is unlinked, so that it vanishes with this object or its process.
    """

    def __init__(
        self,
        artifacts: Artifacts,
        run_id: str,
        x: str,
        y: str,
        plan: Plan,
        first: int,
        last: int,
        block_bytes: int | None = None,
        held_bytes: int = 0,
        w: str | None = None,
    ) -> None:
        """``x`` and ``y`` are the tensors' names, ``w`` that of the weights, if the examples have some; ``block_bytes``
        is the memory of a block (None: ``BLOCK_BYTES``).

        So many bytes of the examples, as they are stored, stay in memory. A shuffled batch is scattered over the file,
        and a read for each of its examples costs more than the copy.

        Raises LnnError when /tmp is too small or the run's data was deleted.
        """
        self.first, self.last = first, last
        self._scale = plan.scale
        self._y: Targets = artifacts.get_tensor(run_id, y)[first:last].copy()
        self._weights = None if w is None else artifacts.get_tensor(run_id, w)[first:last].copy()
        self._file, self._stored = _fetch(artifacts, run_id, x, plan, first, last)
        n = plan.sizes[0]
        self._row_bytes = n * self._stored.itemsize
        item = np.dtype(plan.dtype).itemsize
        # An example has, for each unit, its output, its delta and temporaries of the same size.
        example_bytes = self._row_bytes + item * (n + 4 * sum(plan.sizes[1:]))
        self._block_rows = min(max(1, (block_bytes or BLOCK_BYTES) // example_bytes), max(1, last - first))
        self._rows: Array = np.empty((self._block_rows, n), plan.dtype)
        as_stored = self._stored == self._rows.dtype and plan.scale == 1.0
        self._raw: npt.NDArray[Any] = self._rows if as_stored else np.empty(self._rows.shape, self._stored)
        self._held: npt.NDArray[Any] = np.empty((min(len(self), held_bytes // self._row_bytes), n), self._stored)
        for start in range(0, len(self._held), self._block_rows):  # one read gives 2 GB at most
            self._fill(self._held[start : start + self._block_rows], start)
        self._places: list[tuple[memoryview]] = []
        self._prepared: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.last - self.first

    def of(self, batch: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This worker's examples in ``batch``, which indexes the whole set: sorted positions, counted from 0."""
        own = batch[(batch >= self.first) & (batch < self.last)]
        own -= self.first
        own.sort()
        return own

    def places_in(self, batch: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The places in ``batch`` of the examples that ``of`` gives, in the same order."""
        places = np.flatnonzero((batch >= self.first) & (batch < self.last))
        return places[np.argsort(batch[places])]

    def prepare(self, chosen: npt.NDArray[np.int64]) -> None:
        """Read the first block of the chosen examples ahead of the next call of ``blocks``."""
        self._read_chosen(chosen[: self._block_rows])
        self._prepared = chosen

    def blocks(self, chosen: npt.NDArray[np.int64] | None = None) -> Iterator[Block]:
        """The chosen examples, in ascending order, or all, in blocks.

        A block's X is valid until the next block is read or prepared.
        """
        prepared, self._prepared = self._prepared, None
        count = len(self) if chosen is None else len(chosen)
        for start in range(0, count, self._block_rows):
            stop = min(start + self._block_rows, count)
            some: slice | npt.NDArray[np.int64]
            if chosen is None:
                self._read(stop - start, start)
                some = slice(start, stop)
            else:
                some = chosen[start:stop]
                if start or prepared is not chosen:
                    self._read_chosen(some)
            weights = None if self._weights is None else self._weights[some]
            yield Block(self._rows[: stop - start].T, self._y[some], weights)

    def _read(self, examples: int, start: int) -> None:
        """So many examples, from ``start`` on, into the first rows of the buffer."""
        held = self._held[start : start + examples]
        self._raw[: len(held)] = held
        self._fill(self._raw[len(held) : examples], start + len(held))
        self._standardize(examples)

    def _read_chosen(self, chosen: npt.NDArray[np.int64]) -> None:
        """Copy the chosen examples into the buffer's first rows, from memory or else from the file."""
        held = int(np.searchsorted(chosen, len(self._held)))
        # No index is out of range; mode "clip" makes numpy write to ``out`` without another buffer.
        np.take(self._held, chosen[:held], axis=0, out=self._raw[:held], mode="clip")
        self._read_one_by_one(chosen, held)
        self._standardize(len(chosen))

    def _read_one_by_one(self, chosen: npt.NDArray[np.int64], held: int) -> None:
        """Read the chosen examples after the first ``held`` singly, since few are neighbors in the file."""
        while len(self._places) < len(chosen):
            self._places.append((self._raw[len(self._places)].data.cast("B"),))
        offsets = (chosen[held:] * self._row_bytes).tolist()
        read = sum(map(os.preadv, repeat(self._file.fileno()), self._places[held:], offsets))
        if read != len(offsets) * self._row_bytes:
            raise EOFError(TOO_SHORT)

    def _fill(self, rows: npt.NDArray[Any], start: int) -> None:
        """Fill ``rows`` with the examples from ``start`` on."""
        if not rows.size:
            return
        place = rows.data.cast("B")
        if os.preadv(self._file.fileno(), (place,), start * self._row_bytes) != len(place):
            raise EOFError(TOO_SHORT)

    def _standardize(self, examples: int) -> None:
        if self._raw is not self._rows:
            standardize(self._raw[:examples], self._scale, self._rows[:examples])


def _fetch(
    artifacts: Artifacts, run_id: str, name: str, plan: Plan, first: int, last: int
) -> tuple[BinaryIO, np.dtype[Any]]:
    """A file of the examples from ``first`` to ``last`` (exclusive), and their dtype."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as its owner
    stored = np.dtype(plan.dtype)
    for index in range(first // plan.shard_rows, -(-last // plan.shard_rows) if last > first else 0):
        start = index * plan.shard_rows
        rows = artifacts.get_shard(run_id, name, index)[max(0, first - start) : last - start]
        stored = rows.dtype
        try:
            file.write(rows.data)
            file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            needed = (last - first) * rows[0].nbytes
            room = file.tell() + shutil.disk_usage(tempfile.gettempdir()).free
            raise LnnError(
                f"{name}: this worker's {last - first:,} examples take {needed / 2**20:,.0f} MB of /tmp, which has "
                f"{room / 2**20:,.0f} MB; raise functions.neuron.storage in Terraform (up to 10240) or use more workers"
            ) from error
        del rows  # before the next shard comes
    return file, stored
