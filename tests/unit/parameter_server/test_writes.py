"""docs/protocol.md lists every write to Redis with its fence, and there is no other in the code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

from support.repository import REPOSITORY as ROOT

LIBRARY = ROOT / "functions" / "lnn"
# fmt: off
WRITES = frozenset({
    "APPEND", "BLMOVE", "BLPOP", "BRPOP", "COPY", "DECR", "DECRBY", "DEL", "DELETE", "EXPIRE", "EXPIREAT",
    "FLUSHALL", "FLUSHDB", "GETDEL", "GETEX", "GETSET", "HDEL", "HINCRBY", "HINCRBYFLOAT", "HMSET", "HSET",
    "HSETNX", "INCR", "INCRBY", "LINSERT", "LMOVE", "LPOP", "LPUSH", "LREM", "LSET", "LTRIM", "MSET", "MSETNX",
    "PERSIST", "PEXPIRE", "PSETEX", "PUBLISH", "RENAME", "RENAMENX", "RESTORE", "RPOP", "RPUSH", "SADD", "SET",
    "SETBIT", "SETEX", "SETNX", "SETRANGE", "SREM", "UNLINK", "XADD", "ZADD", "ZREM",
})
# fmt: on
OF_A_SCRIPT = re.compile(r"redis\.p?call\('(\w+)'")
TALK = re.compile(r"^\s*(import redis|from redis)|\.client\.\w+\(|\bserver\.client\b", re.MULTILINE)
CLIENT = re.compile(r"(client|pipeline|probe|redis)\w*$")
"""How code names what it sends commands with."""


def written(module: ast.Module) -> Iterator[tuple[str, str]]:
    """The places of a module that write, and the commands that they write with."""
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for command in OF_A_SCRIPT.findall(node.value.value):
                yield ast.unparse(node.targets[0]), command
        for function in ast.walk(node):
            if isinstance(function, ast.FunctionDef):
                place = f"{node.name}.{function.name}" if isinstance(node, ast.ClassDef) else function.name
                for command in commands(function):
                    yield place, command


def commands(function: ast.FunctionDef) -> Iterator[str]:
    """What a function calls a client's method for, and what it puts at the head of a tuple for the wire."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Attribute(value=of, attr=name)) if CLIENT.search(ast.unparse(of)):
                yield name.upper()
            case ast.Call(func=ast.Attribute(attr="execute_command" | "eval" | "evalsha")):
                yield "ANY COMMAND"
            case ast.Tuple(elts=[ast.Constant(value=str(name)), *_]) if name.isupper():
                yield name


def found() -> dict[str, set[str]]:
    places: dict[str, set[str]] = defaultdict(set)
    for path in LIBRARY.rglob("*.py"):
        if "redis" in (source := path.read_text()) or path.parent.name == "parameter_server":
            for place, command in written(ast.parse(source)):
                if command in WRITES or command == "ANY COMMAND":
                    places[place].add(command)
    return places


def listed() -> list[tuple[list[str], set[str]]]:
    _, _, section = (ROOT / "docs" / "protocol.md").read_text().partition("## Every write to Redis and its fence\n")
    rows = [line.split("|")[1:3] for line in section.partition("\n#")[0].splitlines() if line.startswith("| `")]
    return [(re.findall(r"`([^`]+)`", places), set(re.findall(r"`([^`]+)`", names))) for places, names in rows]


def test_every_write_to_redis_is_listed_with_its_fence() -> None:
    code = found()
    assert {place for places, _ in listed() for place in places} == set(code)
    for places, names in listed():
        assert set().union(*(code[place] for place in places)) == names, places


def test_only_the_parameter_server_talks_to_redis() -> None:
    talks = {path.relative_to(LIBRARY).parts[0] for path in LIBRARY.rglob("*.py") if TALK.search(path.read_text())}
    assert talks == {"parameter_server"}


@pytest.mark.parametrize(
    "code",
    [
        "class A:\n    def f(self): self._client.set('key', 1)",
        "class A:\n    def f(self): return [('RPUSH', inbox, note)]",
        "_F = \"redis.call('HSET', KEYS[1], 'id', 1)\"",
        "class A:\n    def f(self): self.server.client.execute_command('SET', 'key', 1)",
    ],
)
def test_a_write_is_seen_however_it_is_written(code: str) -> None:
    assert list(written(ast.parse(code)))
