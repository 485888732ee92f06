"""What is held out of a training set."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from lnn.data import splits
from lnn.data.splits import held_out, held_out_count


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**63 - 1),
)
def test_each_class_keeps_examples_on_both_sides(counts: list[int], share: float, seed: int) -> None:
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    out = held_out(y, share, seed)
    for label, count in enumerate(counts):
        chosen = int(out[y == label].sum())
        assert 0 <= chosen < count
        assert chosen >= 1 or count == 1
        assert abs(chosen - count * share) <= 1
    assert out.sum() == held_out_count(counts, share)
    assert np.array_equal(out, held_out(y, share, seed)), "always alike for one seed"


def test_shares_are_those_of_scikit_learn_and_seeds_differ() -> None:
    y = np.repeat([0, 1, 2], [50, 30, 20])
    ((_, theirs),) = StratifiedShuffleSplit(1, test_size=0.2, random_state=0).split(y, y)
    ours = held_out(y, 0.2, 0)
    assert np.bincount(y[ours]).tolist() == np.bincount(y[theirs]).tolist() == [10, 6, 4]
    assert not np.array_equal(ours, held_out(y, 0.2, 1))


def test_of_numbers_a_share_of_all_is_held_out() -> None:
    y = np.random.default_rng(0).normal(size=(30, 2))
    assert held_out(y, 0.3, 5).sum() == held_out_count([30], 0.3) == 9
    assert held_out_count([1], 0.5) == 0


@pytest.mark.parametrize("share", [1e-9, 1 - 1e-9])
def test_extreme_shares_leave_one_on_each_side(share: float) -> None:
    assert held_out(np.array([0, 0, 0, 1, 1]), share, 0).sum() in (2, 3)


def test_examples_are_drawn_class_by_class_wherever_a_chunk_of_labels_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    y = np.random.default_rng(0).integers(4, size=200)
    expected = np.zeros(200, np.bool_)
    for label in range(4):
        positions = np.random.default_rng([5, label]).permutation(np.flatnonzero(y == label))
        expected[positions[: round(len(positions) * 0.3)]] = True
    for chunk in (1, 7, 64, 1000):
        monkeypatch.setattr(splits, "CHUNK", chunk)
        np.testing.assert_array_equal(held_out(y, 0.3, 5), expected)


@pytest.mark.parametrize("classes", [1, 3])
def test_a_draw_takes_few_bytes_for_each_of_many_examples(classes: int) -> None:
    y = np.random.default_rng(0).integers(classes, size=4_000_000).astype(np.int8)
    tracemalloc.start()
    try:
        held_out(y, 0.2, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The result and a position, 5 bytes, and chunks of labels.
    assert peak < 7 * len(y)
