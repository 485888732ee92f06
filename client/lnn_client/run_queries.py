"""Runs that a condition picks, in an order that a figure gives: ``lnn runs --where ... --sort ... --columns ...``."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lnn.errors import InputError
from lnn.text.characters import quoted
from lnn_client.runs import ms_per_epoch, seconds_total, seconds_training

if TYPE_CHECKING:
    from lnn.runs.record import Run

_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>|~)\s*(.*?)\s*")
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)
_COMPUTED: Mapping[str, Callable[[Run], float | None]] = MappingProxyType(
    {
        "invocations": lambda run: run.use["invocations"],
        "ms_per_epoch": ms_per_epoch,
        "seconds": seconds_total,
        "seconds_training": seconds_training,
    }
)
_HIGHER_IS_BETTER = re.compile(r".*(accuracy|_r2)")


def value_of(run: Run, name: str) -> Any:
    """What a run has under a name: of its record, of its settings (``learning_rate``, ``neurons.layer1``), or computed
    of it (``seconds``); None where it has nothing.
    """
    if name in _COMPUTED:
        return _COMPUTED[name](run)
    outer, _, inner = name.partition(".")
    for found in (getattr(run, outer, None), run.settings.get(outer)):
        if isinstance(found, Mapping) and inner:
            return found.get(inner)
        if found is not None and not callable(found):
            return None if inner else found
    return None


@dataclass(frozen=True, slots=True)
class Condition:
    """``name`` compared with ``text``: as a number where both are numbers."""

    name: str
    sign: str
    text: str

    def holds(self, run: Run) -> bool:
        found = value_of(run, self.name)
        if self.sign == "~":
            return any(self.text.casefold() in text.casefold() for text in _texts(found))
        if self.sign in ("=", "!="):
            return self._equals(found) == (self.sign == "=")
        wanted = _number(self.text)
        if wanted is None:
            raise InputError(f"{self.name}{self.sign}{self.text}: found {quoted(self.text)}; expected a number")
        return isinstance(found, int | float) and _COMPARISONS[self.sign](found, wanted)

    def _equals(self, found: Any) -> bool:
        number = _number(self.text)
        if isinstance(found, int | float) and not isinstance(found, bool) and number is not None:
            return bool(found == number)
        return self.text in (_texts(found) or ["null"])


def conditions(text: str) -> list[Condition]:
    """The conditions in ``status=COMPLETED,tags~sweep``, all of which are to hold.

    Raises:
        InputError: a part of the text is no condition.
    """
    found = []
    for part in text.split(","):
        match = _CONDITION.fullmatch(part)
        if match is None:
            raise InputError(
                f"found {quoted(part)}; expected a name, one of = != < <= > >= ~ (contains), and a value: "
                "status=COMPLETED,tags~sweep"
            )
        found.append(Condition(*match.groups()))
    return found


def in_order(runs: Sequence[Run], name: str) -> list[Run]:
    """The runs by what they have under a name, the best first: the highest accuracy or R2, the lowest of all others.

    Runs without a value come last.

    Raises:
        InputError: no run has a value there.
    """
    values = {run.run_id: value_of(run, name) for run in runs}
    if runs and all(value is None for value in values.values()):
        raise InputError(
            f"no run has {quoted(name)}; expected a figure or a setting, as test_accuracy or learning_rate"
        )
    known, unknown = ([run for run in runs if (values[run.run_id] is None) == absent] for absent in (False, True))
    if not all(isinstance(values[run.run_id], int | float) for run in known):
        values = {run_id: str(value) for run_id, value in values.items()}
    ordered = sorted(known, key=lambda run: values[run.run_id], reverse=_HIGHER_IS_BETTER.fullmatch(name) is not None)
    return [*ordered, *unknown]


def _texts(found: Any) -> list[str]:
    """A value as texts: each entry of a list by itself."""
    if found is None:
        return []
    if isinstance(found, list | tuple):
        return [text for entry in found for text in _texts(entry)]
    return [found if isinstance(found, str) else json.dumps(found, default=str)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
