"""DynamoDB in memory: items in its typed form, conditions, transactions, one sparse index."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from simulation.aws import Refusal, Service
from simulation.expressions import Item, condition, projected, update
from simulation.scheduler import SimulationGap


class Table:
    def __init__(self, hash_key: str, range_key: str | None = None) -> None:
        self.hash_key, self.range_key = hash_key, range_key
        self.items: dict[tuple[str, ...], Item] = {}

    def key_of(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        names = [self.hash_key] if self.range_key is None else [self.hash_key, self.range_key]
        return tuple(json.dumps(item[name]) for name in names)


class DynamoDB(Service):
    """The tables of one deployment."""

    name = "dynamodb"
    unavailable = "InternalServerError"

    def __init__(self, *arguments: Any, tables: Mapping[str, Table]) -> None:
        super().__init__(*arguments)
        self.tables = dict(tables)
        self.on_updated: Callable[[str, Item, Item], None] = lambda table, before, after: None
        self._tokens: set[str] = set()
        """Of the transactions that were carried out: a repeat with the same token changes nothing."""

    # One item

    def do_get_item(self, TableName: str, Key: Item, ConsistentRead: bool = False, **more: Any) -> dict[str, Any]:
        _only(more, "ProjectionExpression", "ExpressionAttributeNames")
        if not ConsistentRead:
            raise SimulationGap("a read that may be out of date")
        table = self._table(TableName)
        found = table.items.get(table.key_of(Key))
        return {} if found is None else {"Item": _shown(found, more)}

    def do_put_item(self, TableName: str, Item: Item, **more: Any) -> dict[str, Any]:
        self._put(TableName, Item, more)
        return {}

    def do_update_item(self, TableName: str, Key: Item, **more: Any) -> dict[str, Any]:
        returned = more.pop("ReturnValues", "NONE")
        before, after = self._update(TableName, Key, more)
        match returned:
            case "ALL_NEW":
                return {"Attributes": after}
            case "ALL_OLD":
                return {"Attributes": before}
            case "NONE":
                return {}
            case "UPDATED_NEW":
                return {"Attributes": {name: value for name, value in after.items() if before.get(name) != value}}
        raise SimulationGap(f"ReturnValues {returned}")

    def do_delete_item(self, TableName: str, Key: Item, **more: Any) -> dict[str, Any]:
        self._delete(TableName, Key, more)
        return {}

    # Many

    def do_query(self, TableName: str, KeyConditionExpression: str, **more: Any) -> dict[str, Any]:
        _only(
            more, "IndexName", "ExpressionAttributeNames", "ExpressionAttributeValues", "ConsistentRead", "Limit",
            "ScanIndexForward", "FilterExpression", "ProjectionExpression", "Select",
        )  # fmt: skip
        table = self._table(TableName)
        names, values = more.get("ExpressionAttributeNames", {}), more.get("ExpressionAttributeValues", {})
        matches = condition(KeyConditionExpression)
        found = [item for item in table.items.values() if matches(item, names, values)]
        if table.range_key is not None:
            found.sort(
                key=lambda item: _sort_key(item[table.range_key]), reverse=not more.get("ScanIndexForward", True)
            )
        return self._page(found, more)

    def do_scan(self, TableName: str, **more: Any) -> dict[str, Any]:
        _only(
            more, "ConsistentRead", "FilterExpression", "ExpressionAttributeNames", "ExpressionAttributeValues",
            "ProjectionExpression", "Limit", "Select",
        )  # fmt: skip
        return self._page(list(self._table(TableName).items.values()), more)

    def do_batch_write_item(self, RequestItems: Mapping[str, list[Any]]) -> dict[str, Any]:
        for name, requests in RequestItems.items():
            table = self._table(name)
            for request in requests:
                if "PutRequest" in request:
                    item = request["PutRequest"]["Item"]
                    table.items[table.key_of(item)] = item
                else:
                    table.items.pop(table.key_of(request["DeleteRequest"]["Key"]), None)
        return {"UnprocessedItems": {}}

    def do_transact_write_items(
        self, TransactItems: list[Any], ClientRequestToken: str = "", **_: Any
    ) -> dict[str, Any]:
        if ClientRequestToken in self._tokens:
            return {}
        reasons = [self._reason(*entry.values()) for entry in TransactItems]
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise Refusal(
                "TransactionCanceledException", f"Transaction canceled [{codes}]", CancellationReasons=reasons
            )
        for entry in TransactItems:
            ((kind, write),) = entry.items()
            more = {name: value for name, value in write.items() if name not in ("TableName", "Item", "Key")}
            if kind == "Put":
                self._put(write["TableName"], write["Item"], more)
            elif kind == "Update":
                self._update(write["TableName"], write["Key"], more)
            elif kind == "Delete":
                self._delete(write["TableName"], write["Key"], more)
            elif kind != "ConditionCheck":
                raise SimulationGap(kind)
        if ClientRequestToken:
            self._tokens.add(ClientRequestToken)
        return {}

    # Mechanics

    def _reason(self, write: Mapping[str, Any]) -> dict[str, Any]:
        """Why a transaction cannot make this write; code None where it can."""
        table = self._table(write["TableName"])
        found = table.items.get(table.key_of(write.get("Key") or write["Item"]))
        if _holds(found, write):
            return {"Code": "None"}
        shown = found is not None and write.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
        reason = {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}
        return {**reason, "Item": found} if shown else {**reason}

    def _table(self, name: str) -> Table:
        if name not in self.tables:
            raise SimulationGap(f"there is no table {name}")
        return self.tables[name]

    def _put(self, name: str, item: Item, more: Mapping[str, Any]) -> None:
        table = self._table(name)
        key = table.key_of(item)
        self._check(table.items.get(key), more)
        table.items[key] = dict(item)

    def _update(self, name: str, key: Item, more: Mapping[str, Any]) -> tuple[Item, Item]:
        table = self._table(name)
        place = table.key_of(key)
        found = table.items.get(place)
        self._check(found, more)
        before = found or {}
        names, values = more.get("ExpressionAttributeNames", {}), more.get("ExpressionAttributeValues", {})
        try:
            after = update(more["UpdateExpression"])(found or dict(key), names, values)
        except ValueError as error:
            raise Refusal("ValidationException", str(error)) from error
        table.items[place] = after
        self.on_updated(name, before, after)
        return before, after

    def _delete(self, name: str, key: Item, more: Mapping[str, Any]) -> None:
        table = self._table(name)
        place = table.key_of(key)
        self._check(table.items.get(place), more)
        table.items.pop(place, None)

    @staticmethod
    def _check(found: Item | None, more: Mapping[str, Any]) -> None:
        if _holds(found, more):
            return
        given = {"Item": found} if found and more.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else {}
        raise Refusal("ConditionalCheckFailedException", "The conditional request failed", **given)

    def _page(self, found: list[Item], more: Mapping[str, Any]) -> dict[str, Any]:
        names, values = more.get("ExpressionAttributeNames", {}), more.get("ExpressionAttributeValues", {})
        if "FilterExpression" in more:
            matches = condition(more["FilterExpression"])
            found = [item for item in found if matches(item, names, values)]
        if "Limit" in more:
            found = found[: more["Limit"]]
        return {"Items": [_shown(item, more) for item in found], "Count": len(found)}


def _holds(found: Item | None, more: Mapping[str, Any]) -> bool:
    text = more.get("ConditionExpression")
    if text is None:
        return True
    names, values = more.get("ExpressionAttributeNames", {}), more.get("ExpressionAttributeValues", {})
    return condition(text)(found or {}, names, values)


def _shown(item: Item, more: Mapping[str, Any]) -> Item:
    text = more.get("ProjectionExpression")
    return item if text is None else projected(item, text, more.get("ExpressionAttributeNames", {}))


def _sort_key(value: Mapping[str, Any]) -> Any:
    ((kind, raw),) = value.items()
    return float(raw) if kind == "N" else raw


def _only(given: Mapping[str, Any], *known: str) -> None:
    unknown = set(given) - set(known)
    if unknown:
        raise SimulationGap(f"DynamoDB arguments {sorted(unknown)}")
