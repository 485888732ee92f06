"""The values of stored pictures: what is black and white, what training divides by, and what is said of odd ones."""

from __future__ import annotations

import io
from dataclasses import replace

import h5py
import numpy as np
import pytest

from lnn.data.value_range import apart_warnings, bytes_of, range_of, scale_of, value_warnings
from lnn.errors import LnnError
from lnn.models.inference import column_of_picture
from lnn.models.model_file import Model, encode_model, load_model
from lnn.models.validation import misfits
from support.models import brightness_model

FLOATS = {
    "0 to 1": (0.0, 1.0, (0.0, 1.0), 1.0),
    "dark": (0.0, 0.3, (0.0, 1.0), 1.0),
    "all black": (0.0, 0.0, (0.0, 1.0), 1.0),
    "0 to 1, sharpened": (-0.08, 1.07, (0.0, 1.0), 1.0),
    "0 to 255": (0.0, 255.0, (0.0, 255.0), 255.0),
    "0 to 255 without pure black and white": (3.0, 251.5, (0.0, 255.0), 255.0),
    "0 to 255, sharpened": (-19.0, 270.0, (0.0, 255.0), 255.0),
    "0 to 65535": (0.0, 65535.0, (0.0, 65535.0), 65535.0),
    "counts of 0 to 16": (0.0, 16.0, (0.0, 16.0), 1.0),
    "12 bits": (0.0, 4095.0, (0.0, 4095.0), 1.0),
    "-1 to 1": (-1.0, 1.0, (-1.0, 1.0), 1.0),
    "of mean 0 and deviation 1": (-2.1, 2.6, (-2.1, 2.6), 1.0),
    "constant below 0": (-3.0, -3.0, (-3.0, -2.0), 1.0),
}


@pytest.mark.parametrize("values", FLOATS)
def test_floats_say_by_their_range_what_is_white_and_whether_training_divides(values: str) -> None:
    low, high, expected, scale = FLOATS[values]
    found = range_of(np.dtype("float32"), low, high)
    assert found == expected
    assert scale_of(np.dtype("float32"), found) == scale


def test_bytes_are_divided_by_255_however_dark_they_are() -> None:
    assert range_of(np.dtype("uint8"), 0, 1) == (0, 255)
    assert scale_of(np.dtype("uint8"), (0, 255)) == scale_of(np.dtype("uint8"), None) == 255


def test_rows_of_floats_are_used_as_they_are() -> None:
    assert scale_of(np.dtype("float64"), None) == 1


@pytest.mark.parametrize("values", FLOATS)
def test_a_picture_becomes_the_column_that_training_made_of_it(values: str) -> None:
    _, _, value_range, scale = FLOATS[values]
    model = replace(brightness_model(), scale=scale, value_range=value_range)
    pixels = np.array([0, 255, 17, 128] * 4, np.uint8).reshape(4, 4)
    black, white = value_range
    stored = black + pixels.reshape(-1) / 255 * (white - black)
    np.testing.assert_allclose(column_of_picture(model, pixels), stored / scale, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(bytes_of(stored, value_range).reshape(4, 4), pixels)


@pytest.mark.parametrize(("scale", "white"), [(255.0, 255.0), (1.0, 1.0), (65535.0, 65535.0)])
def test_bytes_and_floats_of_the_same_pictures_make_the_same_bits(scale: float, white: float) -> None:
    pixels = np.arange(256, dtype=np.uint8)
    model = replace(brightness_model((16, 16)), scale=scale, value_range=(0.0, white))
    assert (column_of_picture(model, pixels) == pixels / 255).all()


@pytest.mark.parametrize(("scale", "divisor"), [(255.0, 255.0), (1.0, 255.0), (2.0, 2.0)])
def test_a_model_of_before_the_range_was_kept_predicts_as_before(scale: float, divisor: float) -> None:
    pixels = np.arange(16, dtype=np.uint8) * 17
    assert (column_of_picture(brightness_model(scale=scale), pixels) == pixels / divisor).all()


def test_values_beyond_black_and_white_are_cut_off_as_in_a_picture() -> None:
    assert bytes_of(np.array([-0.1, 0.0, 0.5, 1.0, 1.2]), (0.0, 1.0)).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("value_range", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_a_model_without_a_range_that_can_be_does_not_fit_together(value_range: tuple[float, float]) -> None:
    (problem,) = misfits(replace(brightness_model(), value_range=value_range))
    assert problem.startswith("value_range is")


ODD = {
    "uint8 of 0 and 1": ("uint8", True, 0, 1, 'save it as .astype("float32"), or floats'),
    "uint8 rows of 0 and 1": ("uint8", False, 0, 1, 'save it as .astype("float32"), or floats'),
    "uint8 of 0 to 16": ("uint8", True, 0, 16, 'save (x * (255 / 16)).astype("uint8")'),
    "floats of 0 to 16": ("float64", True, 0, 16, "16 is taken for white, and training does not divide by it"),
    "floats around 0": ("float32", True, -2.5, 2.5, "-2.5 is taken for black and 2.5 for white"),
    "floats divided twice": ("float32", True, 0, 1 / 255, "if they were divided twice, save x * 255"),
}
FINE = [("uint8", True, 0, 255), ("uint8", True, 0, 0), ("uint8", False, 0, 16), ("float32", False, -9, 300)]
FINE += [("float32", True, 0, 1), ("float32", True, 0, 255), ("float64", True, 0, 0), ("float64", True, 0, 65535)]


@pytest.mark.parametrize("values", ODD)
def test_an_odd_range_is_said_with_its_cure(values: str) -> None:
    dtype, pictures, low, high, expected = ODD[values]
    (warning,) = value_warnings(np.dtype(dtype), pictures, low, high)
    assert warning.startswith("found ")
    assert expected in warning


@pytest.mark.parametrize("values", FINE)
def test_a_usual_range_needs_no_words(values: tuple[str, bool, float, float]) -> None:
    dtype, pictures, low, high = values
    assert list(value_warnings(np.dtype(dtype), pictures, low, high)) == []


def test_training_and_test_values_of_different_sizes_are_told() -> None:
    (warning,) = apart_warnings((0, 1), (0, 255))
    assert warning == "found values from 0 to 255, and train_set_x goes from 0 to 1; scale both alike"
    assert list(apart_warnings((0, 255), (0, 20))) == list(apart_warnings((-1, 1), (-3, 2))) == []


def test_a_params_file_keeps_the_range_and_one_of_before_has_none() -> None:
    model = replace(brightness_model(scale=1.0), value_range=(-0.5, 16.0))
    assert load_model(encode_model(model)).value_range == (-0.5, 16.0)
    assert load_model(encode_model(replace(model, value_range=None))).value_range is None
    assert load_model(rewritten(model, None)).value_range is None


@pytest.mark.parametrize("text", ["7", "[1]", "[1, 2, 3]", '"ab"', '{"a": 1, "b": 2}', "[null, 1]", "[", "[[1], 2]"])
def test_a_range_that_is_none_is_no_params_file(text: str) -> None:
    with pytest.raises(LnnError, match=r"not a params\.h5 that LNN wrote"):
        load_model(rewritten(brightness_model(), text))


def rewritten(model: Model, text: str | None) -> bytes:
    """The model's file with another text for its range; None leaves it out."""
    buffer = io.BytesIO(encode_model(model))
    with h5py.File(buffer, "r+") as file:
        del file.attrs["value_range"]
        if text is not None:
            file.attrs["value_range"] = text
    return buffer.getvalue()
