"""Typed keys: whoever has a key reads back exactly what was stored."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from lnn.errors import CacheLost
from lnn.parameter_server.codec import TensorKey, decode, encode, key_of

DTYPES = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?"),
    npst.complex_number_dtypes(endianness="?"),
    npst.unicode_string_dtypes(endianness="?", min_len=1),
    npst.byte_string_dtypes(min_len=1),
    npst.datetime64_dtypes(endianness="?"),
)
SHAPES = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
NAMES = st.text(st.characters(exclude_characters="|#", exclude_categories=["Cs"]), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def stored_and_read(name: str, value: Any) -> Any:
    return decode(key_of(name, value), encode(value))


@given(NAMES, npst.arrays(DTYPES, SHAPES))
def test_arrays_of_any_rank_and_dtype_come_back_bit_for_bit(name: str, array: np.ndarray[Any, Any]) -> None:
    read = stored_and_read(name, array)
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.tobytes() == array.tobytes()


@given(NAMES, DTYPES, SHAPES)
def test_a_key_says_name_dtype_and_shape(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    key = TensorKey(name, dtype, shape)
    assert TensorKey.parse(str(key)) == key
    assert key.size == np.zeros(shape, dtype).nbytes


@pytest.mark.parametrize(
    ("array", "key"),
    [
        (np.zeros((20, 12288)), "W1|float64#20#12288"),
        (np.zeros((20, 1), np.float32), "W1|float32#20#1"),
        (np.array(True), "W1|bool"),
        (np.zeros((2, 0), np.uint8), "W1|uint8#2#0"),
        (np.zeros(3, ">f8"), "W1|>f8#3"),
        (np.zeros(3, "<U5"), "W1|<U5#3"),
        ({"epochs": 3}, "W1|dict"),
        ("text", "W1|str"),
        (7, "W1|int"),
    ],
)
def test_keys_are_those_of_the_prototype(array: Any, key: str) -> None:
    assert key_of("W1", array) == key


def test_nan_payloads_signed_zeros_and_infinities_keep_their_bits() -> None:
    bits = np.array([0x7FF8DEADBEEF0001, 0xFFF0000000000001, 0x8000000000000000, 0x7FF0000000000000], np.uint64)
    assert stored_and_read("Z", bits.view(np.float64)).view(np.uint64).tolist() == bits.tolist()


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[::2, ::-1], np.asfortranarray])
def test_views_that_are_not_contiguous_come_back_equal(view: Any) -> None:
    array = view(np.arange(24.0).reshape(4, 6))
    np.testing.assert_array_equal(stored_and_read("A", array), array, strict=True)


@pytest.mark.parametrize("array", [np.array([""]), np.zeros(0, "<U3"), np.zeros((0, 3)), np.array("word")])
def test_empty_arrays_and_empty_strings_come_back(array: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(stored_and_read("A", array), array, strict=True)


@given(st.dictionaries(TEXTS, JSON))
def test_dicts_come_back_equal(value: dict[str, Any]) -> None:
    assert stored_and_read("plan", value) == value


@given(st.integers(min_value=-(10**300), max_value=10**300))
def test_ints_of_any_size_come_back_equal(value: int) -> None:
    assert stored_and_read("count", value) == value


@given(TEXTS)
def test_texts_come_back_equal(value: str) -> None:
    assert stored_and_read("note", value) == value


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        True,
        None,
        b"bytes",
        [1, 2],
        np.float64(1.5),
        np.int64(1),
        np.array([object()]),
        np.zeros(2, [("x", "f8")]),
        np.zeros(2, "V4"),
    ],
)
def test_what_cannot_come_back_exactly_is_refused_by_name(value: Any) -> None:
    with pytest.raises(TypeError, match="gradient"):
        key_of("gradient", value)


@pytest.mark.parametrize("name", ["a|b", "a#b"])
def test_a_name_that_would_break_the_key_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no '\|' and no '#'"):
        key_of(name, 1)


@pytest.mark.parametrize("value", [{1: "a"}, {"a": (1, 2)}, {"a": {2: 3}}, {"a": b"b"}])
def test_dicts_that_json_would_change_are_refused(value: dict[Any, Any]) -> None:
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_dicts_with_numbers_that_json_lacks_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"cost": number})


def test_dicts_are_stored_as_json_that_people_can_read() -> None:
    assert json.loads(encode({"class": "Katze, schön"})) == {"class": "Katze, schön"}
    assert "schön".encode() in encode({"class": "Katze, schön"})


@pytest.mark.parametrize("raw", [b"", b"1234567", b"x" * 17])
def test_bytes_that_do_not_fill_the_array_mean_that_the_cache_lost_it(raw: bytes) -> None:
    with pytest.raises(CacheLost, match=r"A\|float64#2"):
        decode("A|float64#2", raw)
