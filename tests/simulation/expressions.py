"""DynamoDB's expressions: conditions, updates and projections, evaluated on items in DynamoDB's typed form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from simulation.scheduler import SimulationGap

Item = dict[str, Any]
Values = Mapping[str, Any]
Names = Mapping[str, str]
Operand = Callable[[Item, Names, Values], Any]
Condition = Callable[[Item, Names, Values], bool]

TOKEN = re.compile(r"\s*(?:([A-Za-z_#:][\w#:]*)|(<>|<=|>=|[=<>(),.\[\]+-])|(\d+))")


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[str] = []
        place = 0
        text = text.strip()
        while place < len(text):
            match = TOKEN.match(text, place)
            if match is None:
                raise SimulationGap(f"expression {text!r} at {place}")
            self._tokens.append(match.group().strip())
            place = match.end()
        self._next = 0

    @property
    def token(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.token
        if expected and token.upper() != expected:
            raise SimulationGap(f"expected {expected} and found {token!r} in {self._tokens}")
        self._next += 1
        return token

    def has(self, word: str) -> bool:
        if self.token.upper() != word:
            return False
        self._next += 1
        return True

    # Conditions

    def condition(self) -> Condition:
        parts = [self.conjunction()]
        while self.has("OR"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else lambda *given: any(part(*given) for part in parts)

    def conjunction(self) -> Condition:
        parts = [self.negation()]
        while self.has("AND"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else lambda *given: all(part(*given) for part in parts)

    def negation(self) -> Condition:
        if self.has("NOT"):
            inner = self.negation()
            return lambda *given: not inner(*given)
        if self.token == "(":
            self.take("(")
            within = self.condition()
            self.take(")")
            return within
        if self.token in ("attribute_exists", "attribute_not_exists", "begins_with", "contains", "attribute_type"):
            return self.function()
        return self.comparison()

    def function(self) -> Condition:
        name = self.take()
        self.take("(")
        first = self.operand()
        second = self.operand() if self.has(",") else None
        self.take(")")
        if name == "attribute_exists":
            return lambda *given: first(*given) is not None
        if name == "attribute_not_exists":
            return lambda *given: first(*given) is None
        if second is None or name == "attribute_type":
            raise SimulationGap(name)
        if name == "begins_with":
            return lambda *given: _plain(first(*given) or {"S": ""}).startswith(_plain(second(*given)))
        return lambda *given: _contains(first(*given), second(*given))

    def comparison(self) -> Condition:
        left = self.operand()
        if self.has("IN"):
            self.take("(")
            choices = [self.operand()]
            while self.has(","):
                choices.append(self.operand())
            self.take(")")
            return lambda *given: any(_same(left(*given), choice(*given)) for choice in choices)
        if self.has("BETWEEN"):
            low = self.operand()
            self.take("AND")
            high = self.operand()
            return lambda *given: _order(left(*given), low(*given), ">=") and _order(left(*given), high(*given), "<=")
        sign = self.take()
        right = self.operand()
        if sign == "=":
            return lambda *given: _same(left(*given), right(*given))
        if sign == "<>":
            return lambda *given: not _same(left(*given), right(*given))
        return lambda *given: _order(left(*given), right(*given), sign)

    # Operands

    def operand(self) -> Operand:
        if self.token == "size":
            self.take()
            self.take("(")
            inner = self.operand()
            self.take(")")
            return lambda *given: _size(inner(*given))
        if self.token == "if_not_exists":
            self.take()
            self.take("(")
            path = self.operand()
            self.take(",")
            default = self.operand()
            self.take(")")
            return lambda *given: found if (found := path(*given)) is not None else default(*given)
        if self.token == "list_append":
            self.take()
            self.take("(")
            first = self.operand()
            self.take(",")
            second = self.operand()
            self.take(")")
            return lambda *given: _joined(first(*given), second(*given))
        if self.token.startswith(":"):
            name = self.take()
            return lambda _, __, values: values[name]
        path_parts = self.path()
        return lambda item, names, _: _found(item, path_parts, names)

    def path(self) -> list[str | int]:
        parts: list[str | int] = [self.take()]
        while self.token in (".", "["):
            if self.has("."):
                parts.append(self.take())
            else:
                self.take("[")
                parts.append(int(self.take()))
                self.take("]")
        return parts

    # Updates

    def update(self) -> Callable[[Item, Names, Values], Item]:
        changes: list[Callable[[Item, Item, Names, Values], None]] = []
        while self.token:
            clause = self.take().upper()
            while True:
                path = self.path()
                changes.append(self.change(clause, path))
                if not self.has(","):
                    break

        def updated(item: Item, names: Names, values: Values) -> Item:
            new = dict(item)
            for change in changes:
                change(new, item, names, values)
            return new

        return updated

    def change(self, clause: str, path: list[str | int]) -> Callable[[Item, Item, Names, Values], None]:
        if clause == "SET":
            self.take("=")
            value = self.sum()
            return lambda new, old, names, values: _put(new, path, names, value(old, names, values))
        if clause == "REMOVE":
            return lambda new, old, names, values: _put(new, path, names, None)
        if clause == "ADD":
            added = self.operand()

            def add(new: Item, old: Item, names: Names, values: Values) -> None:
                amount, before = added(old, names, values), _found(old, path, names)
                if "N" not in amount:
                    raise SimulationGap(f"ADD {amount}")
                _put(new, path, names, _number(_plain(before or {"N": "0"}) + _plain(amount)))

            return add
        raise SimulationGap(clause)

    def sum(self) -> Operand:
        left = self.operand()
        if self.token not in ("+", "-"):
            return left
        sign = 1 if self.take() == "+" else -1
        right = self.operand()
        return lambda *given: _number(_plain(left(*given)) + sign * _plain(right(*given)))


@cache
def condition(text: str) -> Condition:
    return _Parser(text).condition()


@cache
def update(text: str) -> Callable[[Item, Names, Values], Item]:
    return _Parser(text).update()


def projected(item: Item, text: str, names: Names) -> Item:
    wanted = [names.get(name.strip(), name.strip()) for name in text.split(",")]
    return {name: item[name] for name in wanted if name in item}


def _found(item: Item, path: list[str | int], names: Names) -> Any:
    value: Any = {"M": item}
    for part in path:
        if value is None:
            return None
        if isinstance(part, int):
            entries = value.get("L", [])
            value = entries[part] if part < len(entries) else None
        else:
            value = value.get("M", {}).get(names.get(part, part))
    return value


def _put(item: Item, path: list[str | int], names: Names, value: Any) -> None:
    """Set or remove (None) an attribute in ``item``, which is a copy at its top level."""
    *above, last = path
    target = item
    for part in above:
        if isinstance(part, int):
            raise SimulationGap(f"an update of {path}")
        name = names.get(part, part)
        inner = dict(target[name]["M"])
        target[name] = {"M": inner}
        target = inner
    if isinstance(last, int):
        raise SimulationGap(f"an update of {path}")
    name = names.get(last, last)
    if value is None:
        target.pop(name, None)
    else:
        target[name] = value


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, raw),) = value.items()
    return Decimal(raw) if kind == "N" else raw


def _number(value: Decimal) -> dict[str, str]:
    return {"N": format(value.normalize(), "f")}


def _same(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    ((kind, one),), ((other_kind, other),) = left.items(), right.items()
    if kind != other_kind:
        return False
    return Decimal(one) == Decimal(other) if kind == "N" else bool(one == other)


def _order(left: Any, right: Any, sign: str) -> bool:
    if left is None or right is None or left.keys() != right.keys():
        return False
    one, other = _plain(left), _plain(right)
    return bool({"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[sign])


def _size(value: Any) -> Any:
    if value is None:
        return None
    ((_, raw),) = value.items()
    return {"N": str(len(raw))}


def _contains(whole: Any, part: Any) -> bool:
    if whole is None:
        return False
    ((kind, raw),) = whole.items()
    return part in raw if kind == "L" else _plain(part) in raw


def _joined(first: Any, second: Any) -> Any:
    if first is None:
        raise ValueError("list_append to an attribute that is not there")
    return {"L": [*first["L"], *second["L"]]}
