"""moto with less work for what no test is about: importing this is enough.

- Of each value of a DynamoDB item moto looks for all ten types, under three names each. A value has one of them.
- An update's expression is parsed twice, copied twice and walked ten times. Here it is parsed once for all updates that
  have it, and what to do with a kind of node is looked up once in a walk.
- An item's size is added up at each attribute that is set, from copies of its maps, and whole items are copied to be
  read. Here neither is copied.
- The addresses of a service are put together at each request, for S3 from a module that is loaded anew. Here they are
  once.
- Each subscription of SNS makes an RSA key to sign with. Here all have one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from moto.core.base_backend import BaseBackend
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Expression, Node, UpdateExpressionFunction
from moto.dynamodb.parsing.expressions import UpdateExpressionParser
from moto.sns.models import Subscription

PLAIN = {"S", "N", "BOOL"}
"""The types whose values JSON has as they are."""

_serialize = BaseJSONSerializer._serialize_type_structure
_size = DynamoType.size
_to_json = DynamoType.to_regular_json
_parse = UpdateExpressionParser.make.__func__
_urls: Callable[[BaseBackend], dict[str, Any]] = BaseBackend.urls.fget  # type: ignore[attr-defined]
_addresses: dict[type[BaseBackend], dict[str, Any]] = {}


def _serialize_what_is_there(self: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
    is_value = shape.name == "AttributeValue" and key and isinstance(value, dict)
    if not is_value or not value.keys() <= shape.members.keys():
        _serialize(self, serialized, value, shape, key)
        return
    of_type = self.MAP_TYPE()
    for name, content in value.items():
        if name in PLAIN and type(content) in (str, bool):
            of_type[name] = content
            continue
        member = shape.members[name]
        member.parent = shape
        self._serialize_structure_member(of_type, value, member, name)
    self._default_serialize(serialized, of_type, shape, key)


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def _is_node(kind: type) -> bool:
    return issubclass(kind, Node)


@cache
def _has_clauses(kind: type) -> bool:
    return issubclass(kind, (Expression, UpdateExpressionFunction))


def _traverse(self: Any, node: Any, child_id: int = -1) -> Any:
    kind = type(node)
    if not _is_node(kind):
        return node
    parent = node.parent
    for index, child in enumerate(node.children or ()):
        self.pre_processing_of_child(node, index)
        _traverse(self, child, index)
    if "processes" not in vars(self):
        self.processes, self.process_of = self._processing_map(), {}
    if kind not in self.process_of:
        found = (process for one, process in self.processes.items() if issubclass(kind, one))
        self.process_of[kind] = next(found, None)
    if (process := self.process_of[kind]) is not None:
        node = process(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node


def _find_clauses(self: Any, kinds: Any) -> list[Any]:
    found = []
    for child in self.children or ():
        if type(child) in kinds:
            found.append(child)
        elif _has_clauses(type(child)):
            found.extend(_find_clauses(child, kinds))
    return found


def _copy_of_node(self: Any, known: dict[int, Any]) -> Any:
    known[id(self)] = made = object.__new__(type(self))
    vars(made).update((name, copy.deepcopy(value, known)) for name, value in vars(self).items())
    return made


@cache
def _parsed(expression: str) -> Any:
    """Who changes it changes a copy: moto's validator makes one."""
    return _parse(UpdateExpressionParser, expression)


def _size_without_copies(self: Any) -> int:
    value = self.value
    if type(value) is str:
        return len(value.encode())
    if self.type == "M":
        return sum(len(name.encode()) + DynamoType(one).size() for name, one in value.items())
    return _size(self)


def _json_without_copies(self: Any) -> dict[str, Any]:
    value = self.value
    if self.type == "M":
        return {"M": {name: _json_of(one) for name, one in value.items()}}
    if self.type == "L":
        return {"L": [_json_of(one) for one in value]}
    return _to_json(self)


def _json_of(value: Any) -> Any:
    return _json_without_copies(value) if isinstance(value, DynamoType) else copy.deepcopy(value)


def _addresses_once(self: BaseBackend) -> dict[str, Any]:
    kind = type(self)
    if kind not in _addresses:
        _addresses[kind] = _urls(self)
    return _addresses[kind]


BaseBackend.urls = property(_addresses_once)  # type: ignore[method-assign,assignment]
BaseJSONSerializer._serialize_type_structure = _serialize_what_is_there  # type: ignore[method-assign]
DepthFirstTraverser.traverse_node_recursively = _traverse
DynamoType.size = _size_without_copies  # type: ignore[method-assign]
DynamoType.to_regular_json = _json_without_copies  # type: ignore[method-assign]
Node.__deepcopy__ = _copy_of_node
Node.find_clauses = _find_clauses
Subscription.private_key = lambda _: _key()  # type: ignore[method-assign,assignment]
UpdateExpressionParser.make = classmethod(lambda _, expression: _parsed(expression))
