"""Dropout: which outputs are dropped, and that everybody drops the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.network import Dropout
from lnn.network.dropout import Positions

DROPOUT = Dropout([0.25, 0.0, 0.5], [7, 3, 5], seed=11)


def masks_of(positions: Positions, dropout: Dropout = DROPOUT, epoch: int = 2, batch: int = 3) -> list[bytes]:
    return [b"" if mask is None else mask.tobytes() for mask in dropout.masks(epoch, batch, positions, "float64")]


def test_a_layer_without_dropout_has_no_mask() -> None:
    first, second, third = DROPOUT.masks(1, 0, slice(0, 4), "float32")
    assert second is None
    assert first is not None
    assert third is not None
    assert (first.shape, third.shape, first.dtype) == ((7, 4), (5, 4), np.float32)


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.5, 0.9])
def test_as_many_outputs_are_dropped_as_the_rate_says_and_the_others_make_up_for_them(rate: float) -> None:
    mask = Dropout([rate], [50], seed=1).mask(1, 1, 0, slice(0, 4000), "float64")
    assert mask is not None
    assert set(np.unique(mask)) == {0.0, 1 / (1 - rate)}
    # 200,000 draws: five standard deviations of the share.
    assert (mask == 0).mean() == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / mask.size))
    neighbors = np.corrcoef((mask[:-1] == 0).ravel(), (mask[1:] == 0).ravel())[0, 1]
    assert abs(neighbors) < 5 / np.sqrt(mask.size)


@given(start=st.integers(0, 40), count=st.integers(1, 20))
def test_a_part_of_a_batch_has_the_columns_of_the_whole(start: int, count: int) -> None:
    whole = DROPOUT.masks(2, 3, slice(0, 60), "float64")
    columns = [b"" if mask is None else mask[:, start : start + count].tobytes() for mask in whole]
    assert masks_of(slice(start, start + count)) == columns


@given(places=st.lists(st.integers(0, 59), min_size=1, max_size=20, unique=True))
def test_any_examples_of_a_batch_have_their_columns_of_the_whole(places: list[int]) -> None:
    whole = DROPOUT.masks(2, 3, slice(0, 60), "float64")
    columns = [b"" if mask is None else mask[:, places].tobytes() for mask in whole]
    assert masks_of(np.array(places)) == columns


def test_every_seed_epoch_batch_and_layer_has_a_mask_of_its_own_and_each_the_same_again() -> None:
    alike = Dropout([0.5, 0.5], [6, 6], seed=3)
    all_of = [
        mask
        for dropout in (alike, Dropout([0.5, 0.5], [6, 6], seed=4))
        for epoch in (1, 2)
        for batch in (0, 1)
        for mask in masks_of(slice(0, 20), dropout, epoch, batch)
    ]
    assert len(set(all_of)) == 16
    assert masks_of(slice(0, 20), alike, 1, 0) == all_of[:2]


def test_masks_stay_the_same_from_release_to_release() -> None:
    """A run that goes on after an upgrade has to drop what it would have dropped."""
    mask = Dropout([0.5], [4], seed=1).mask(1, 1, 0, slice(0, 6), "float64")
    assert mask is not None
    assert (mask > 0).astype(int).tolist() == [
        [0, 0, 1, 1, 0, 0],
        [1, 0, 0, 0, 1, 0],
        [1, 1, 1, 0, 1, 1],
        [1, 1, 1, 1, 0, 0],
    ]
