"""Parts of batches: what a file may be, how many rows fit, and what they become."""

from __future__ import annotations

import io
import pickle
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lnn.errors import InputError
from lnn.models.inference import column_of_picture, named, outputs_of, predict
from lnn.models.model_file import MAX_SERVED_BYTES, Model
from lnn.serving import batch_parts
from lnn.serving.batch_parts import (
    HEADER_BYTES,
    NUMBERS,
    PART_BYTES,
    PART_MULTIPLICATIONS,
    PIXELS,
    answers_of,
    decode,
    encode,
    encode_reason,
    largest_part,
    predict_part,
    reason_in,
    row_type,
    rows_of_part,
)
from support.models import brightness_model

ROWS = np.random.default_rng(3).normal(size=(5, 3))


def of_sizes(*sizes: int, dtype: str = "float64", shape: tuple[int, ...] | None = None) -> Model:
    """A model with these sizes, and weights without meaning."""
    rng = np.random.default_rng(1)
    layers = [
        (rng.normal(size=(units, before)).astype(dtype) / before, np.zeros((units, 1), dtype))
        for before, units in pairwise(sizes)
    ]
    activations = [*["tanh"] * (len(layers) - 1), "softmax"]
    return Model(layers, "run", activations, [str(index) for index in range(sizes[-1])], shape, 1.0)


def saved(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(("rows", "kind"), [(ROWS, NUMBERS), ((ROWS * 50).astype(np.uint8), PIXELS)])
def test_a_part_holds_the_bits_of_its_rows_and_numpy_reads_it(rows: np.ndarray[Any, Any], kind: np.dtype[Any]) -> None:
    content = encode(rows, kind)
    assert decode(content, kind, 3).tobytes() == rows.tobytes()
    assert np.array_equal(np.load(io.BytesIO(content), allow_pickle=False), rows)


def test_the_same_rows_have_the_same_bytes_whatever_numpy_wrote_them() -> None:
    digest = sha256(encode(np.arange(6.0).reshape(2, 3), NUMBERS)).hexdigest()
    assert digest == "8cc97358caab52235176ec3a51d735d7ff7465b525d3849bad2d98c86c98d47d"
    assert digest == sha256(encode(np.asfortranarray(np.arange(6.0).reshape(2, 3)), NUMBERS)).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array at all",
        encode(ROWS, NUMBERS)[:HEADER_BYTES],
        encode(ROWS, NUMBERS)[:-1],
        encode(ROWS, NUMBERS) + b"\0" * 24,
        encode(ROWS[:, :2], NUMBERS),
        encode((ROWS * 50).astype(np.uint8), PIXELS),
        saved(ROWS.astype(np.float32)),
        saved(np.asfortranarray(ROWS)),
        saved(np.array([print, {}], object), allow_pickle=True),
        pickle.dumps(ROWS),
        encode(ROWS, NUMBERS).replace(b"(5, 3)", b"(9, 3)"),
        encode(ROWS, NUMBERS).replace(b"(5, 3)", b"(-5,3)"),
        encode(ROWS, NUMBERS).replace(b"'<f8'", b"'|O8'"),
    ],
)
def test_any_other_file_is_refused_unparsed(content: bytes) -> None:
    with pytest.raises(InputError, match=r"expected a \.npy file of rows of 3 values of type <f8"):
        decode(content, NUMBERS, 3)


@pytest.mark.parametrize("model", [of_sizes(3, 4, 2), of_sizes(2, 5000, 5000, 2), of_sizes(1, 2000), of_sizes(9000, 2)])
def test_a_part_is_bounded_in_bytes_of_rows_and_answers_and_in_arithmetic(model: Model) -> None:
    rows = rows_of_part(model)
    weights = sum(W.size for W, _ in model.parameters)
    bounds = (
        rows * model.features * row_type(model).itemsize / PART_BYTES,
        rows * answers_of(model) * 8 / PART_BYTES,
        rows * weights / PART_MULTIPLICATIONS,
    )
    assert 0.9 < max(bounds) <= 1
    assert largest_part(model) == len(encode(np.zeros((rows, model.features)), row_type(model)))


def test_a_row_that_is_larger_than_a_part_is_one() -> None:
    model = of_sizes(PART_BYTES // 8 + 1, 1, 2)
    assert rows_of_part(model) == 1
    assert largest_part(model) == HEADER_BYTES + PART_BYTES + 8
    assert sum(W.nbytes for W, _ in model.parameters) < MAX_SERVED_BYTES


@pytest.mark.parametrize("block", [1, 10_000, batch_parts.BLOCK_BYTES])
def test_rows_get_what_the_network_says_whatever_the_block(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_parts, "BLOCK_BYTES", block)
    model = of_sizes(3, 40, 4)
    rows = np.random.default_rng(0).normal(size=(70, 3))
    outputs = predict_part(model, rows)
    assert outputs.shape == (70, 4)
    np.testing.assert_allclose(outputs, outputs_of(model, rows.T), rtol=1e-12)


def test_pictures_become_columns_as_they_do_on_this_machine() -> None:
    model = brightness_model()
    pixels = np.random.default_rng(0).integers(0, 256, (7, 16), dtype=np.uint8)
    said = named(model, predict_part(model, pixels))
    for answer, picture in zip(said, pixels, strict=True):
        (expected,) = predict(model, column_of_picture(model, picture.reshape(4, 4))[:, None])
        assert answer.to_json()["class"] == expected.to_json()["class"]
        assert answer.to_json()["probability"] == pytest.approx(expected.to_json()["probability"], rel=1e-12)


def test_float32_models_answer_in_their_own_precision_and_the_answer_keeps_it() -> None:
    model = of_sizes(3, 4, 2, dtype="float32")
    outputs = predict_part(model, ROWS)
    assert np.array_equal(decode(encode(outputs, NUMBERS), NUMBERS, 2), outputs.astype(np.float64))


def test_a_reason_is_told_from_predictions() -> None:
    assert reason_in(encode(ROWS, NUMBERS)) is None
    assert reason_in(encode_reason('it is "damaged"\n')) == 'it is "damaged"\n'
    assert len(encode_reason("x" * 5000)) < 1100
    for odd in (b"", b"{", b"[]", b"{}", b"3", b"[" * 100_000):
        assert "LNN did not write" in str(reason_in(odd))
