"""Conversion of records to DynamoDB items and back; a float keeps its exact value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

_SMALLEST, _LARGEST = 1e-128, 1e125
"""DynamoDB numbers reach from 1e-130 to 9.9e125 (developer guide, "Naming rules and data types")."""

_CONTEXT = Context(prec=38)
_serializer = TypeSerializer()


class _Deserializer(TypeDeserializer):
    """Also reads large numbers, which DynamoDB returns with all their zeros: boto3 refuses more than 38 digits."""

    def _deserialize_n(self, value: str) -> Decimal:
        return Decimal(value)


_deserializer = _Deserializer()


def attribute(value: Any) -> AttributeValueTypeDef:
    """A value in DynamoDB's typed form."""
    serialized: AttributeValueTypeDef = _serializer.serialize(_to_decimal(value))
    return serialized


def item(record: Mapping[str, Any]) -> dict[str, AttributeValueTypeDef]:
    """A record as an item; attributes that are None are left out."""
    return {name: attribute(value) for name, value in record.items() if value is not None}


def plain(stored: Mapping[str, Any]) -> dict[str, Any]:
    """An item as a record of Python's own types."""
    return {name: _from_decimal(_deserializer.deserialize(value)) for name, value in stored.items()}


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


def _number(value: float) -> Decimal:
    """The float as a decimal, clamped to the range of DynamoDB's numbers."""
    if abs(value) < _SMALLEST:
        return Decimal(0)
    return _CONTEXT.create_decimal(repr(max(-_LARGEST, min(value, _LARGEST))))


def _to_decimal(value: Any) -> Any:
    match value:
        case float():
            return _number(value)
        case dict():
            return {key: _to_decimal(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_to_decimal(entry) for entry in value]
    return value


def _from_decimal(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {key: _from_decimal(entry) for key, entry in value.items()}
        case list():
            return [_from_decimal(entry) for entry in value]
    return value
