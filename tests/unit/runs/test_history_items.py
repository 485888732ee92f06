"""Rows of the history as items of the costs table, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lnn.aws.dynamodb_items import LARGEST
from lnn.runs.history_items import BLOCK_ROWS, FIGURES, items_of, key_after, rows_in
from lnn.runs.record import EpochRow


def row(epoch: int) -> EpochRow:
    """A row with some of the figures; which ones, and their values, depends on the epoch."""
    drawn = np.random.default_rng(epoch)
    figures: dict[str, float | None] = {}
    for name in FIGURES:
        kinds = (None, 0.0, 1.0, drawn.random(), -drawn.random() * 10.0 ** int(drawn.integers(-300, 300)))
        figures[name] = kinds[drawn.integers(len(kinds))]
    return EpochRow(epoch, **figures | {"cost": drawn.random(), "seconds": drawn.random()})  # type: ignore[arg-type]


def stored(rows: list[EpochRow], every: int = 1) -> list[dict[str, Any]]:
    return list(items_of("run", rows, every))


def clamped(row: EpochRow) -> EpochRow:
    """A row as DynamoDB keeps it, whose numbers have a range."""
    figures = {name: value for name, value in row._asdict().items() if value is not None}
    for name, value in figures.items():
        if abs(value) > LARGEST:
            figures[name] = LARGEST if value > 0 else -LARGEST
        elif 0 < abs(value) < 1e-128:
            figures[name] = 0.0
    return row._replace(**figures)


def key(item: dict[str, Any]) -> float:
    return float(item["epoch"]["N"])


@pytest.mark.parametrize("every", [1, 7])
def test_a_block_is_one_item_and_its_rows_come_back_as_they_would_alone(every: int) -> None:
    rows = [row(every * place) for place in range(1, BLOCK_ROWS + 1)]
    (block,) = stored(rows, every)
    alone = [item for one in rows for item in stored([one], every)]
    assert len(alone) == BLOCK_ROWS
    assert rows_in([block]) == rows_in(alone) == [clamped(one) for one in rows]


def test_a_block_takes_eight_bytes_for_each_figure_that_its_rows_have() -> None:
    rows = [EpochRow(epoch, 0.1, 0.9, 0.9, 0.01, learning_rate=0.002) for epoch in range(1, BLOCK_ROWS + 1)]
    (block,) = stored(rows)
    assert sum(len(value["B"]) for value in block.values() if "B" in value) == 5 * 8 * BLOCK_ROWS


def test_blocks_are_at_fixed_places_and_what_is_less_than_one_is_written_by_rows() -> None:
    rows = [row(epoch) for epoch in range(50, 451)]
    items = stored(rows)
    assert sorted(map(key, items)) == [*range(50, 101), 200.5, 300.5, 400.5, *range(401, 451)]
    items = [items[place] for place in np.random.default_rng(0).permutation(len(items))]
    assert rows_in(items) == [clamped(one) for one in rows]


def test_a_row_between_two_recorded_epochs_is_written_alone_and_its_block_is_whole_all_the_same() -> None:
    rows = [row(epoch) for epoch in sorted([*range(10, 1001, 10), 735])]
    items = stored(rows, every=10)
    assert sorted(map(key, items)) == [735, 1000.5]
    assert rows_in(items) == [clamped(one) for one in rows]


def test_a_row_that_comes_twice_makes_no_block_whole() -> None:
    rows = [row(epoch) for epoch in range(1, BLOCK_ROWS)]
    items = stored([*rows, rows[0]])
    assert [float(item["epoch"]["N"]) for item in items] == list(range(1, BLOCK_ROWS))


def test_no_writer_replaces_an_item_by_one_with_fewer_rows() -> None:
    """Whatever parts of a history the generations have, and in whichever order their writes come."""
    every_row = [row(epoch) for epoch in range(1, 351)]
    for seed in range(50):
        drawn = np.random.default_rng(seed)
        table: dict[float, Any] = {}
        kept: set[int] = set()
        for _ in range(drawn.integers(1, 7)):
            first = drawn.integers(0, 340)
            part = every_row[first : drawn.integers(first + 1, 351)]
            items = stored(part)
            table |= {key(item): item for item in items}
            kept |= {one.epoch for one in part}
        assert rows_in(table.values()) == [clamped(one) for one in every_row if one.epoch in kept]


@pytest.mark.parametrize("after", [0, 99, 100, 101, 150, 199, 200])
def test_the_key_after_an_epoch_leaves_out_what_has_no_later_row(after: int) -> None:
    items = stored([row(epoch) for epoch in range(1, 251)])
    above = float(key_after(after)["N"])  # type: ignore[typeddict-item]
    read = [item for item in items if key(item) > above]
    found = [one.epoch for one in rows_in(read)]
    assert [epoch for epoch in found if epoch > after] == list(range(after + 1, 251))
    assert all(any(one.epoch > after for one in rows_in([item])) for item in read)
