"""How the history lies in the costs table: a hundred rows in one item, where they come fast, or a row in an item.

DynamoDB bills a write by its kilobytes and a row has far less than one, so a hundred rows together cost about a
twentieth of what they cost alone. An item is replaced as a whole and with no condition. So a block is written only
where the writer has all of its rows: then the item depends on run and epoch alone, as each row does. Which epochs make
a block is fixed, and its item has a key that no row has: half an epoch after the block's last one.
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lnn.aws.dynamodb_items import as_stored, item, plain
from lnn.runs.record import EpochRow

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

BLOCK_ROWS = 100
"""Rows of a block: with all figures that a row can have, one item of 16 KB."""

FIGURES = [name for name in EpochRow._fields if name not in ("epoch", "waited")]
"""Attributes of a row, beside ``run_id`` and ``epoch``, where the run has them; of a block, one array for each."""

AFTER_LAST = 0.5
"""What a block's key is more than its last epoch."""


def closes_block(epoch: int, every: int) -> bool:
    """True for the last epoch of a block in a history that has every ``every``-th epoch."""
    return epoch % (every * BLOCK_ROWS) == 0


def items_of(run_id: str, rows: Iterable[EpochRow], every: int) -> Iterator[dict[str, AttributeValueTypeDef]]:
    """Items for ``rows`` of a history that has every ``every``-th epoch: whole blocks, then the other rows."""
    blocks: dict[int, dict[int, EpochRow]] = defaultdict(dict)
    alone = []
    for row in rows:
        if row.epoch % every:
            alone.append(row)
        else:
            blocks[(row.epoch // every - 1) // BLOCK_ROWS][row.epoch] = row
    for block in blocks.values():
        if len(block) == BLOCK_ROWS:
            yield _block(run_id, [block[epoch] for epoch in sorted(block)], every)
        else:
            alone += block.values()
    for row in alone:
        yield item({"run_id": run_id, "epoch": row.epoch, **{name: getattr(row, name) for name in FIGURES}})


def key_after(epoch: int) -> AttributeValueTypeDef:
    """What the key of an item is above if it may have rows after ``epoch``, and not above if it has none."""
    return {"N": str(epoch + AFTER_LAST)}


def rows_in(items: Iterable[Mapping[str, Any]]) -> list[EpochRow]:
    """The rows in stored items, in order. A row that is stored twice, alone and in a block, comes once."""
    rows: dict[int, EpochRow] = {}
    for stored in map(plain, items):
        found = _rows_of_block(stored) if "every" in stored else [_row(stored["epoch"], map(stored.get, FIGURES))]
        rows |= {row.epoch: row for row in found}
    return [rows[epoch] for epoch in sorted(rows)]


def _block(run_id: str, rows: Sequence[EpochRow], every: int) -> dict[str, AttributeValueTypeDef]:
    figures = {name: [getattr(row, name) for row in rows] for name in FIGURES}
    arrays = {name: _packed(values) for name, values in figures.items() if any(value is not None for value in values)}
    return item({"run_id": run_id, "epoch": rows[-1].epoch + AFTER_LAST, "every": every, **arrays})


def _layout() -> str:
    """Of one figure of a block's rows, in their order; NaN stands for one that a row does not have."""
    return f"<{BLOCK_ROWS}d"


def _packed(values: Sequence[float | None]) -> bytes:
    return struct.pack(_layout(), *(math.nan if value is None else as_stored(value) for value in values))


def _rows_of_block(stored: Mapping[str, Any]) -> list[EpochRow]:
    last, every = int(stored["epoch"]), stored["every"]
    epochs = range(last - (BLOCK_ROWS - 1) * every, last + 1, every)
    missing = (None,) * BLOCK_ROWS
    columns = [struct.unpack(_layout(), stored[name]) if name in stored else missing for name in FIGURES]
    return [_row(epoch, figures) for epoch, figures in zip(epochs, zip(*columns, strict=True), strict=True)]


def _row(epoch: int, figures: Iterable[float | None]) -> EpochRow:
    """The row with ``figures`` in the order of ``FIGURES``."""
    there = (None if figure is None or math.isnan(figure) else float(figure) for figure in figures)
    named: dict[str, Any] = dict(zip(FIGURES, there, strict=True))
    return EpochRow(epoch, **named)
