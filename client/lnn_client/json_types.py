"""Answers of numbers as JSON, which has neither arrays nor NaN."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def encoded(value: object) -> str:
    """Any value as JSON, a number that is not finite as null."""
    return json.dumps(json_types(value), allow_nan=False, separators=(",", ":"))


def rounded(value: Any, digits: int = 5) -> Any:
    """The same with so many digits in every array and every number: what a page shows takes less room so."""
    if isinstance(value, np.ndarray | float) and np.asarray(value).dtype.kind == "f":
        numbers = np.asarray(value, np.float64)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            places = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(numbers))))
            found = np.where(np.isfinite(places), np.round(numbers * places) / places, numbers)
        return found if isinstance(value, np.ndarray) else float(found)
    if isinstance(value, Mapping):
        return {name: rounded(one, digits) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one, digits) for one in value]
    return value


def json_types(value: Any) -> Any:
    """Arrays, numpy's scalars and dataclasses as lists, numbers and objects; a number that is not finite as None."""
    if isinstance(value, np.ndarray | np.generic):
        plain = value.tolist()
        return plain if value.dtype.kind in "biu" or np.isfinite(value).all() else json_types(plain)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: json_types(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_types(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_types(getattr(value, field.name)) for field in fields(value)}
    return value
