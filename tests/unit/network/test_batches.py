"""The batches of an epoch."""

from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn.network import batch_slices, take_examples


def indices(m: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    return [list(range(m)) if batch is None else batch.tolist() for batch in batch_slices(m, batch_size, seed, epoch)]


@settings(deadline=None)
@given(
    m=st.integers(1, 200), batch_size=st.integers(1, 250), seed=st.integers(0, 2**63 - 1), epoch=st.integers(1, 10**7)
)
def test_every_example_comes_once_and_only_the_last_batch_is_short(
    m: int, batch_size: int, seed: int, epoch: int
) -> None:
    batches = indices(m, batch_size, seed, epoch)
    assert sorted(chain.from_iterable(batches)) == list(range(m))
    assert all(len(batch) == min(batch_size, m) for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size


def test_the_shuffle_depends_on_seed_and_epoch_alone() -> None:
    assert indices(50, 8, 3, 4) == indices(50, 8, 3, 4)
    assert indices(50, 8, 3, 4) != indices(50, 8, 3, 5)
    assert indices(50, 8, 3, 4) != indices(50, 8, 4, 4)


def test_a_full_batch_is_all_examples_in_order() -> None:
    assert batch_slices(10, None, 0, 1) == batch_slices(10, 10, 0, 1) == batch_slices(10, 11, 0, 1) == [None]


def test_a_batch_s_examples_are_the_columns_of_its_indices() -> None:
    X = np.arange(12.0).reshape(4, 3).T  # 4 examples of 3 features, as datasets are laid out
    for in_order in (X, np.ascontiguousarray(X), X[::2]):
        taken = take_examples(in_order, np.array([3, 1]))
        np.testing.assert_array_equal(taken, in_order[:, [3, 1]])
        assert taken.flags.f_contiguous == in_order.flags.f_contiguous
        assert take_examples(in_order, None) is in_order
