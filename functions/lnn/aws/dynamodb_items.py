"""Conversion of records to DynamoDB items and back; a float keeps its exact value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_SMALLEST, LARGEST = 1e-128, 1e125
"""DynamoDB numbers reach from 1e-130 to 9.9e125 (developer guide, "Naming rules and data types")."""

_CONTEXT = Context(prec=38)


def attribute(value: Any) -> AttributeValueTypeDef:
    """A value in DynamoDB's typed form. Raises TypeError for a type that no record has."""
    typed: AttributeValueTypeDef
    match value:
        case None:
            typed = {"NULL": True}
        case bool():
            typed = {"BOOL": value}
        case str():
            typed = {"S": value}
        case bytes():
            typed = {"B": value}
        case int():
            typed = {"N": str(value)}
        case float():
            typed = {"N": str(_number(value))}
        case Mapping():
            typed = {"M": {name: attribute(entry) for name, entry in value.items()}}
        case list() | tuple():
            typed = {"L": [attribute(entry) for entry in value]}
        case _:
            raise TypeError(f"{type(value).__name__}: no attribute of a record has this type")
    return typed


def item(record: Mapping[str, Any]) -> dict[str, AttributeValueTypeDef]:
    """A record as an item; attributes that are None are left out."""
    return {name: attribute(value) for name, value in record.items() if value is not None}


def plain(stored: Mapping[str, Any]) -> dict[str, Any]:
    """An item as a record of Python's own types."""
    return {name: _value(typed) for name, typed in stored.items()}


def refused_item(refusal: object) -> dict[str, Any]:
    """The record in DynamoDB's answer to a write whose condition failed; empty where there was none.

    ``refusal`` is botocore's response to a write with ``ReturnValuesOnConditionCheckFailure`` of ``ALL_OLD``.
    """
    return plain(cast("Mapping[str, Any]", refusal).get("Item", {}))


def update(
    changes: Mapping[str, object],
    condition: str,
    values: Mapping[str, object],
    *,
    names: Mapping[str, str],
    appended: Mapping[str, object],
    counted: str | None,
    removed: Sequence[str],
) -> dict[str, Any]:
    """UpdateItem's expressions.

    ``changes`` are attributes to set, ``appended`` entries for the ends of lists, ``counted`` a number to raise by one.
    ``values`` and ``names`` are what the ``condition`` refers to.
    """
    used = dict(names)
    given = {name: attribute(value) for name, value in values.items()}
    settings = []
    for index, (name, value) in enumerate(changes.items()):
        used[f"#a{index}"] = name
        given[f":a{index}"] = attribute(value)
        settings.append(f"#a{index} = :a{index}")
    for index, (name, value) in enumerate(appended.items()):
        used[f"#l{index}"] = name
        given[f":l{index}"] = attribute([value])
        settings.append(f"#l{index} = list_append(#l{index}, :l{index})")
    clauses = ["SET " + ", ".join(settings)] if settings else []
    if counted is not None:
        used["#count"] = counted
        given[":one"] = attribute(1)
        clauses.append("ADD #count :one")
    removals = {f"#r{index}": name for index, name in enumerate(removed)}
    if removals:
        used |= removals
        clauses.append("REMOVE " + ", ".join(removals))
    expression = " ".join(clauses)
    return {
        "UpdateExpression": expression,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {key: name for key, name in used.items() if key in expression + condition},
        "ExpressionAttributeValues": given,
    }


def as_stored(value: float) -> float:
    """The float that comes back from DynamoDB: with its exact value, but within the range of DynamoDB's numbers."""
    return 0.0 if abs(value) < _SMALLEST else float(max(-LARGEST, min(value, LARGEST)))


def _number(value: float) -> Decimal:
    return _CONTEXT.create_decimal(repr(as_stored(value)))


def _value(typed: Mapping[str, Any]) -> Any:
    ((kind, value),) = typed.items()
    match kind:
        case "NULL":
            return None
        case "N":
            # DynamoDB returns a large number with all its zeros.
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else float(number)
        case "M":
            return plain(value)
        case "L":
            return [_value(entry) for entry in value]
    return value
