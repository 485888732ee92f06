"""Each shape of the deployment plans what its inventory says: how many of each resource, and the values that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from support.terraform_plans import SHAPES, Resources, inventory


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_plans_exactly_the_resources_of_its_inventory(shape: str, planned: Callable[[str], Resources]) -> None:
    counts = Counter(resource["type"] for resource in planned(shape).values())
    assert dict(counts) == inventory(shape)["counts"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_plans_the_values_of_its_inventory(shape: str, planned: Callable[[str], Resources]) -> None:
    resources = planned(shape)
    different = [
        f"{address}.{path}: planned {found!r}, expected {expected!r}"
        for address, values in inventory(shape)["values"].items()
        for path, found, expected in differences(resources.get(address, {}).get("values", "no such resource"), values)
    ]
    assert not different, "\n".join(different)


def differences(found: Any, expected: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where ``found`` does not hold what ``expected`` does; a mapping may hold more, a list may not."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            difference
            for key, value in expected.items()
            for difference in differences(found.get(key), value, f"{path}.{key}".lstrip("."))
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        return [
            difference
            for index, value in enumerate(expected)
            for difference in differences(found[index], value, f"{path}[{index}]")
        ]
    return [] if found == expected else [(path, found, expected)]


def test_a_value_that_differs_is_told_with_its_path() -> None:
    found = {"a": [{"b": 1, "c": 2}], "d": 3}
    assert differences(found, {"a": [{"b": 1}]}) == []
    assert differences(found, {"a": [{"b": 2}], "e": None}) == [("a[0].b", 1, 2)]
    assert differences(found, {"a": []}) == [("a", [{"b": 1, "c": 2}], [])]
