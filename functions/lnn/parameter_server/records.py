"""What a run of strategy ``neuron`` records of its invocations, and the form in which it is stored.

The barrier writes a line for each (``lnn.parameter_server.record_list``); parts of the timeline in S3 hold these lines
as they are, compressed, below a header.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lnn.errors import LnnError

VERSION = 1
COLUMNS = "number:generation:epoch:batch:direction:layer:neuron:ended:milliseconds:marks"
"""Of a line. ``number`` counts the records of a fill, ``neuron`` from 0 and is empty for the Trainer."""

MOST_RECORDS = 500_000
"""Of a run. Those of later invocations are not kept: see ``MOST_BYTES``."""

LONGEST_LINE = 120
"""Bytes of a line, its end included."""

MOST_BYTES = MOST_RECORDS * LONGEST_LINE
"""That a run stores, before compression. A part may be stored twice when its writer dies."""


class Mark(StrEnum):
    """What a line says of its invocation beside the numbers, each in one letter."""

    COLD = "c"
    """It is the first in its environment, which Lambda has started for it."""
    REPEAT = "r"
    """The neuron had arrived at the step already."""
    FAILED = "f"
    """It has raised an error."""
    START = "s"
    """A Trainer that has begun a generation."""
    LATE = "l"
    """Its step was over when it looked: a copy of a message, or one that was held up. It does not count."""
    MISSED = "m"
    """It was asked for and had not arrived when a later generation looked, which is the end that is written down."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of a function for a run: ``start`` in epoch seconds, and what it was asked to do.

    Layers and neurons count from 1, batches from 0; a worker's ``neuron`` is its rank, from 0.
    """

    role: str
    start: float
    seconds: float
    state: str | None = None
    layer: int | None = None
    neuron: int | None = None
    generation: int | None = None
    failed: bool = False
    epoch: int | None = None
    batch: int | None = None
    attempt: int = 1
    """2 where the neuron had arrived at this step before."""
    cold: bool | None = None
    memory_mb: int | None = None
    """That the function has been given."""
    late: bool = False
    """Its step was over when it looked, and it did nothing."""
    missed: bool = False
    """It was asked for and had not arrived at ``start``, when a later generation looked: it died, or is late."""

    @property
    def counts(self) -> bool:
        """Whether the run counts it among its invocations: it has arrived, or is a Trainer's."""
        return not (self.failed or self.late or self.missed)


def told(milliseconds: float, *marks: Mark) -> str:
    """The end of a line, which its function writes; the barrier writes what comes before."""
    return f"{milliseconds:.1f}:{''.join(marks)}"


def encode(lines: Sequence[bytes], trainer_memory_mb: int, neuron_memory_mb: int) -> bytes:
    """A part of the timeline; the same lines give the same bytes."""
    header: dict[str, Any] = {
        "version": VERSION,
        "columns": COLUMNS,
        "trainer_memory_mb": trainer_memory_mb,
        "neuron_memory_mb": neuron_memory_mb,
    }
    return gzip.compress(b"\n".join([json.dumps(header).encode(), *lines]), mtime=0)


def decode(part: bytes) -> Iterator[tuple[int, Invocation]]:
    """The records of a part with their numbers, in order.

    Raises:
        LnnError: another release has written it.
    """
    header, *lines = gzip.decompress(part).decode().splitlines()
    about = json.loads(header)
    if about["version"] != VERSION or about["columns"] != COLUMNS:
        raise LnnError(
            f"the timeline is of version {about['version']}, and this release reads {VERSION}; use the release of "
            "'lnn' that the functions have"
        )
    memory = {role: int(about[f"{role}_memory_mb"]) for role in ("trainer", "neuron")}
    for line in lines:
        yield number_of(line), _invocation(line, memory)


def number_of(line: str) -> int:
    return int(line.partition(":")[0])


def epoch_of(line: str) -> int:
    return int(line.split(":", 3)[2])


def _invocation(line: str, memory: dict[str, int]) -> Invocation:
    _, generation, epoch, batch, direction, layer, neuron, ended, milliseconds, marks = line.split(":")
    role, seconds = "neuron" if neuron else "trainer", float(milliseconds) / 1000
    starts = Mark.START in marks
    return Invocation(
        role,
        float(ended) - seconds,
        seconds,
        "start" if starts else direction,
        None if starts else int(layer),
        int(neuron) + 1 if neuron else None,
        int(generation),
        Mark.FAILED in marks,
        None if starts else int(epoch),
        None if starts else int(batch),
        2 if Mark.REPEAT in marks else 1,
        Mark.COLD in marks,
        memory[role],
        Mark.LATE in marks,
        Mark.MISSED in marks,
    )
