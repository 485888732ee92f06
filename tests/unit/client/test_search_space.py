"""What a sweep may change, and what is drawn from it."""

from __future__ import annotations

from typing import Any

import pytest

from lnn.errors import InputError
from lnn_client.search_space import Space


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({}, "an object with a setting"),
        ([], "an object with a setting"),
        ({"l2": []}, "found no value"),
        ({"l2": 3}, "expected a list of values"),
        ({"l2": {"low": 1}}, "expected a list of values"),
        ({"l2": {"low": 1, "high": 2, "steps": 1}}, "expected a list of values"),
        ({"l2": {"low": 2, "high": 1}}, "a low below high"),
        ({"l2": {"low": 0, "high": 1, "step": 0}}, "steps above 0"),
        ({"l2": {"low": 0, "high": 1, "log": True}}, '"low" above 0'),
        ({"l2": {"low": 1, "high": 2, "step": 1, "log": True}}, 'no "step"'),
        ({"l2": {"low": True, "high": 2}}, "finite numbers"),
        ({"l2": {"low": 0, "high": float("inf")}}, "finite numbers"),
        ({"l2": {"low": "0", "high": 1}}, "finite numbers"),
    ],
)
def test_a_space_that_cannot_be_drawn_from_is_one_clear_error(raw: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Space.parse(raw)


def test_all_problems_are_listed() -> None:
    with pytest.raises(InputError) as raised:
        Space.parse({"a": [], "b": 1, "c": [1]})
    assert len(raised.value.problems) == 2


def test_values_of_lists_may_be_anything_that_json_has() -> None:
    space = Space.parse({"batch_size": [None, 8], "dropout": [{}, {"layer1": 0.5}]})
    drawn = [space.settings(space.point(place)) for place in range(4)]
    assert drawn == [
        {"batch_size": None, "dropout": {}},
        {"batch_size": None, "dropout": {"layer1": 0.5}},
        {"batch_size": 8, "dropout": {}},
        {"batch_size": 8, "dropout": {"layer1": 0.5}},
    ]


@pytest.mark.parametrize(
    ("of", "values"),
    [
        ({"low": 1, "high": 3}, [1, 2, 3]),
        ({"low": 8, "high": 30, "step": 8}, [8, 16, 24]),
        ({"low": 0.1, "high": 0.3, "step": 0.1}, [0.1, 0.2, 0.3]),
    ],
)
def test_a_grid_has_every_step_of_a_range(of: dict[str, float], values: list[float]) -> None:
    grid = Space.parse({"x": of}).grid
    assert grid is not None
    assert grid["x"] == pytest.approx(values)


@pytest.mark.parametrize("of", [{"low": 0.1, "high": 0.3}, {"low": 1, "high": 9, "log": True}])
def test_a_range_without_steps_has_no_grid(of: dict[str, float]) -> None:
    assert Space.parse({"x": of, "y": [1]}).grid is None
