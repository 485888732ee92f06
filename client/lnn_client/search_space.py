"""What a sweep may change: the settings of ``parameters.json`` that vary, each with its values.

A space is JSON, a key for each setting as ``lnn train --set`` writes it:

    {"learning_rate": {"low": 0.0001, "high": 0.1, "log": true},
     "neurons.layer1": {"low": 8, "high": 64, "step": 8},
     "optimizer": ["adam", "sgd"]}

A list names the values. A range of whole numbers gives whole numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lnn.errors import InputError
from lnn.text.characters import quoted

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_KEYS = {"low", "high", "log", "step"}


@dataclass(frozen=True, slots=True)
class Space:
    """Settings that vary; ``raw`` is the JSON object, checked."""

    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, raw: Any) -> Space:
        """Raises InputError that lists everything that is wrong."""
        if not isinstance(raw, dict) or not raw:
            raise InputError(f"the space: found {raw!a:.60}; expected an object with a setting that varies, at least")
        problems = [f"the space: {quoted(key)}: {problem}" for key, of in raw.items() if (problem := _problem(of))]
        if problems:
            raise InputError(problems)
        return cls(raw)

    def distributions(self) -> dict[str, BaseDistribution]:
        """The settings as Optuna draws them. Values of a list are drawn as JSON texts: Optuna takes no lists."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, BaseDistribution] = {}
        for key, of in self.raw.items():
            if isinstance(of, list):
                found[key] = CategoricalDistribution([json.dumps(value) for value in of])
                continue
            low, high, log, step = of["low"], of["high"], of.get("log", False), of.get("step")
            if isinstance(low, int) and isinstance(high, int):
                found[key] = IntDistribution(low, high, log=log, step=step or 1)
            else:
                found[key] = FloatDistribution(low, high, log=log, step=step)
        return found

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """What was drawn, as the settings' values."""
        return {key: json.loads(value) if isinstance(self.raw[key], list) else value for key, value in drawn.items()}

    @property
    def grid(self) -> dict[str, list[str]] | None:
        """Every value of every setting, as drawn; None where a range has no steps to count."""
        grid: dict[str, list[Any]] = {}
        for key, of in self.raw.items():
            if isinstance(of, list):
                grid[key] = [json.dumps(value) for value in of]
            elif of.get("log") or not (isinstance(of["low"], int) or of.get("step")):
                return None
            else:
                step = of.get("step") or 1
                count = math.floor((of["high"] - of["low"]) / step + 1e-9) + 1
                grid[key] = [of["low"] + place * step for place in range(count)]
        return grid

    def point(self, place: int) -> dict[str, Any]:
        """A point of the grid, from 0, as drawn: the last setting changes fastest."""
        point: dict[str, Any] = {}
        for key, values in reversed((self.grid or {}).items()):
            place, at = divmod(place, len(values))
            point[key] = values[at]
        return point


def _problem(of: Any) -> str | None:
    """What is wrong with a setting's values."""
    if isinstance(of, list):
        return None if of else "found no value; expected one at least"
    if not isinstance(of, dict) or not {"low", "high"} <= of.keys() <= _KEYS:
        return f'found {of!a:.60}; expected a list of values, or {{"low": ..., "high": ...}} with "log" or "step"'
    low, high, step, log = of["low"], of["high"], of.get("step"), of.get("log", False)
    numbers = [low, high, *([] if step is None else [step])]
    if any(isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one) for one in numbers):
        return f"found {numbers!a:.60}; expected finite numbers"
    if not isinstance(log, bool) or (log and (step is not None or low <= 0)):
        return 'found "log"; expected true with a "low" above 0 and no "step", or false'
    if low >= high or (step is not None and step <= 0):
        return f"found {low} to {high}; expected a low below high, and steps above 0"
    return None
