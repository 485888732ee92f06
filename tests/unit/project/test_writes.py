"""Every call that writes to DynamoDB or S3 is in the tables of docs/protocol.md, with its fence."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support.repository import REPOSITORY

WRITES = {
    *("batch_write_item", "delete_item", "put_item", "transact_write_items", "update_item"),
    *("batch_execute_statement", "execute_statement", "execute_transaction", "batch_writer"),
    *("complete_multipart_upload", "copy", "copy_object", "create_multipart_upload", "delete_object"),
    *("delete_objects", "put_object", "put_object_tagging", "rename_object", "restore_object"),
    *("upload_file", "upload_fileobj", "upload_part", "DynamoDBPersistenceLayer"),
}
"""What writes items or objects: the methods of botocore's and boto3's clients, and Powertools' store."""

SOURCES = ("functions", "client", "cli", "scripts")
NO_SERVICE = {"copy"}
"""Names that other objects have, too: such a call counts where an argument names a bucket."""


def own_name(call: ast.Call) -> str | None:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)


def is_write(call: ast.Call) -> bool:
    name = own_name(call)
    named = {keyword.arg for keyword in call.keywords}
    return name in WRITES and (name not in NO_SERVICE or "Bucket" in named)


def of_self(call: ast.Call) -> str | None:
    """The method that a method calls on its own object."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name
    return None


def writers(tree: ast.Module) -> Iterator[str]:
    """The public functions and methods of a module that write, themselves or through others of their class."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name):
                if any(is_write(call) for call in calls(node)):
                    yield name
            case ast.ClassDef(name=name, body=body):
                methods = {method.name: method for method in body if isinstance(method, ast.FunctionDef)}
                writing = {own for own, method in methods.items() if any(is_write(call) for call in calls(method))}
                while more := {
                    own
                    for own, method in methods.items()
                    if own not in writing and any(of_self(call) in writing for call in calls(method))
                }:
                    writing |= more
                yield from (f"{name}.{own}" for own in writing if not own.startswith("_"))
                if "__init__" in writing:
                    yield name


def calls(node: ast.AST) -> Iterator[ast.Call]:
    return (found for found in ast.walk(node) if isinstance(found, ast.Call))


def found_in(source: str) -> set[str]:
    return set(writers(ast.parse(source)))


def listed() -> set[str]:
    """The names in the first columns of the section's tables."""
    text = (REPOSITORY / "docs/protocol.md").read_text()
    section = text.partition("## Every write and its fence")[2].partition("\n## ")[0]
    firsts = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    names = {name for first in firsts for name in re.findall(r"`([\w.]+)`", first)}
    return {name for name in names if not name.startswith("redis")}


def sources() -> list[Path]:
    return [path for folder in SOURCES for path in sorted((REPOSITORY / folder).rglob("*.py"))]


def test_each_write_is_listed_with_its_fence_and_each_listed_one_exists() -> None:
    in_code = {name for path in sources() for name in found_in(path.read_text())}
    assert in_code == listed()


def test_every_condition_stands_in_the_code() -> None:
    """A write of one item has an expression of its own, or takes one from a function that cannot leave it out."""
    for path in sources():
        for call in calls(ast.parse(path.read_text())):
            if own_name(call) in ("put_item", "update_item", "delete_item"):
                named = {keyword.arg for keyword in call.keywords}
                assert named & {"ConditionExpression", None}, f"{path.name}:{call.lineno}"


def test_a_write_that_is_not_listed_is_found() -> None:
    source = """
class Ledger:
    def open_run(self): self._client.put_item(Item={})
    def forget(self): self._drop()
    def _drop(self): self.client.delete_item(Key={})
    def read(self): return self._client.get_item(Key={})
class Store:
    def __init__(self): self._store = DynamoDBPersistenceLayer()
def empty(s3): s3.delete_objects(Bucket="b")
def duplicate(rows): return rows.copy()
"""
    assert found_in(source) == {"Ledger.open_run", "Ledger.forget", "Store", "empty"}
