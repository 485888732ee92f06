"""The preprocessing of tables: equal to scikit-learn's, stored and read again, exact about a cell it cannot take."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from lnn.data.preprocessing import Column, Preprocessing
from lnn.errors import InputError, ModelError
from lnn.models.model_file import Model, encode_model, load_model
from lnn.models.validation import misfits

TABLE = Preprocessing(
    [
        Column("age", "number", mean=40.0, scale=10.0),
        Column("member", "boolean"),
        Column("color", "category", categories=["blue", "red"]),
        Column("income", "number", mean=2.0, scale=4.0, missing=2.0),
    ],
    label="bought",
)


def bytes_of(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def test_raw_rows_become_what_scikit_learn_makes_of_them() -> None:
    sklearn_compose = pytest.importorskip("sklearn.compose")
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(7)
    rows = np.empty((50, 3), dtype=object)
    rows[:, 0] = rng.normal(1e4, 3.0, 50)
    rows[:, 1] = rng.choice(["north", "south", "é"], 50)
    rows[:, 2] = np.where(rng.random(50) < 0.3, np.nan, rng.exponential(5.0, 50))
    oracle = sklearn_compose.ColumnTransformer(
        [
            ("first", StandardScaler(), [0]),
            ("second", OneHotEncoder(sparse_output=False), [1]),
            ("third", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [2]),
        ]
    )
    expected = oracle.fit_transform(rows)
    third = rows[:, 2].astype(float)
    median = float(np.nanmedian(third))
    filled = np.where(np.isnan(third), median, third)
    first = rows[:, 0].astype(float)
    table = Preprocessing(
        [
            Column("first", "number", float(first.mean()), float(first.std())),
            Column("second", "category", categories=["north", "south", "é"]),
            Column("third", "number", float(filled.mean()), float(filled.std()), missing=median),
        ],
        "label",
    )
    np.testing.assert_allclose(table.matrix(rows.tolist()).T, expected, rtol=1e-9, atol=1e-12)


def test_rows_by_name_by_position_and_as_text_are_the_same() -> None:
    X = TABLE.matrix(
        [
            [50, True, "red", None],
            {"income": "NA", "color": " red ", "other": 9, "member": "Yes", "age": "50"},
        ]
    )
    assert X.T.tolist() == [[1.0, 1.0, 0.0, 1.0, 0.0]] * 2
    assert TABLE.features == ["age", "member", "color=blue", "color=red", "income"]
    assert TABLE.raw(X[:, 0]) == [50.0, True, "red", 2.0]


def test_what_is_stored_is_read_again() -> None:
    assert Preprocessing.decode(TABLE.encode()) == TABLE


@pytest.mark.parametrize(
    ("place", "cell", "parts"),
    [
        (0, "old", ("column 'age'", "found 'old'; expected a finite number")),
        (0, True, ("column 'age'", "found True; expected a finite number")),
        (0, math.inf, ("column 'age'", "found inf; expected a finite number")),
        (0, "1_000", ("column 'age'", "expected a finite number")),
        (0, [1], ("column 'age'", "found [1]; expected a finite number")),
        (0, None, ("column 'age'", "the value is missing; expected a finite number")),
        (1, "perhaps", ("column 'member'", "found 'perhaps'; expected true or false")),
        (1, 2, ("column 'member'", "found 2; expected true or false")),
        (2, "green\x1b[31m", ("column 'color'", r"found 'green\x1b[31m'; expected one of 'blue', 'red'")),
        (2, "", ("column 'color'", "the value is missing; expected one of 'blue', 'red'")),
        (3, "much", ("column 'income'", "found 'much'; expected a finite number")),
    ],
)
def test_a_bad_cell_is_one_error_with_its_row_and_column(place: int, cell: Any, parts: tuple[str, ...]) -> None:
    good: list[Any] = [50, True, "red", 1]
    bad = [*good[:place], cell, *good[place + 1 :]]
    with pytest.raises(InputError) as refused:
        TABLE.matrix([good, bad])
    (problem,) = refused.value.problems
    assert problem.startswith("row 2: ")
    for part in parts:
        assert part in problem


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"age": 1, "member": True, "income": 2},
            "column 'color' is missing; expected 'age', 'member', 'color'",
        ),
        ([1, True], "found 2 values; expected 4"),
        ("1,true,red,2", "expected a list of values, or an object by column name"),
        (7, "found 7; expected a list of values"),
    ],
)
def test_a_row_of_another_form_is_one_error(row: Any, told: str) -> None:
    with pytest.raises(InputError) as refused:
        TABLE.matrix([row], first=12)
    (problem,) = refused.value.problems
    assert problem.startswith("row 12: ")
    assert told in problem


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"columns": []},
        {"columns": None},
        {"columns": [{"name": "age", "kind": "number"}] * 2},
        {"label": 3},
        {"columns": [{"name": "age", "kind": "date"}]},
        {"columns": [{"name": 1, "kind": "number"}]},
        {"columns": [{"name": "age", "kind": "number", "scale": 0}]},
        {"columns": [{"name": "age", "kind": "number", "mean": "0"}]},
        {"columns": [{"name": "age", "kind": "number", "mean": 10**400}]},
        {"columns": [{"name": "age", "kind": "number", "categories": ["a"]}]},
        {"columns": [{"name": "color", "kind": "category", "categories": []}]},
        {"columns": [{"name": "color", "kind": "category", "categories": ["a", "a"]}]},
        {"columns": [{"name": "color", "kind": "category", "categories": ["a"], "missing": "b"}]},
    ],
)
def test_other_json_is_refused(change: dict[str, Any]) -> None:
    stored = json.loads(TABLE.encode().tobytes()) | change
    with pytest.raises(InputError, match="preprocessing"):
        Preprocessing.decode(bytes_of(json.dumps(stored)))


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, "{"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="preprocessing"):
        Preprocessing.decode(bytes_of(text))


def test_other_values_than_bytes_are_refused() -> None:
    with pytest.raises(InputError, match="found 3 values of int64; expected bytes of JSON"):
        Preprocessing.decode(np.zeros(3, np.int64))


def test_columns_whose_names_are_too_long_to_store_are_refused() -> None:
    many = Preprocessing([Column(f"{'long ' * 100}{place}", "number") for place in range(3000)], "y")
    with pytest.raises(InputError, match="use fewer columns, or shorter names"):
        many.encode()


def model_of(features: int, **facts: Any) -> Model:
    return Model(
        [(np.ones((1, features)), np.zeros((1, 1)))], "r", ["sigmoid"], ["a", "b"], **facts, preprocessing=TABLE
    )


def test_a_model_file_keeps_it() -> None:
    model = model_of(5, image_shape=None, scale=1.0)
    assert load_model(encode_model(model)).preprocessing == TABLE
    assert misfits(model) == []


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            model_of(4, image_shape=None, scale=1.0),
            "found columns that make 5 features, and a scale of 1; expected the 4",
        ),
        (model_of(5, image_shape=None, scale=255.0), "and a scale of 255; expected the 5 inputs of layer 1, and 1"),
        (model_of(5, image_shape=(1, 5), scale=1.0), "it has both image_shape and preprocessing"),
    ],
)
def test_a_model_whose_inputs_it_does_not_make_is_refused(model: Model, told: str) -> None:
    (problem,) = misfits(model)
    assert told in problem


def test_a_model_file_with_other_bytes_is_refused() -> None:
    content = encode_model(model_of(5, image_shape=None, scale=1.0))
    with pytest.raises(ModelError, match=r"not a params\.h5 that LNN wrote: preprocessing: found"):
        load_model(content.replace(b'"version": 1', b'"version": 9'))
