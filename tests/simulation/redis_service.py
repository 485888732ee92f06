"""Redis in memory: the commands that the functions use, and real Lua. The real client, redis-py, talks to it."""

from __future__ import annotations

import fnmatch
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from typing import Any

import redis
from lupa import lua51
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from simulation.scheduler import EPOCH, Scheduler, SimulationGap
from simulation.transport import Deferred, Lost, Transport, Unavailable


class Error(Exception):
    """An error answer."""


class Status(str):
    """A status answer, such as OK."""

    __slots__ = ()


OK = Status("OK")


class Blocked(Exception):
    """The command waits for an item of a list."""

    def __init__(self, keys: list[bytes], seconds: float) -> None:
        super().__init__()
        self.keys, self.seconds = keys, seconds


class RedisServer:
    """All keys. A command is atomic; a script is, too."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.keys: dict[bytes, Any] = {}
        self._expires: dict[bytes, float] = {}
        self._waiting: dict[bytes, list[Session]] = {}
        self.sessions: set[Session] = set()
        self._known: set[bytes] = set()
        """Hashes of the scripts that clients have loaded."""

    # Faults

    def snapshot(self) -> tuple[dict[bytes, Any], dict[bytes, float]]:
        copied = {key: value.copy() if isinstance(value, dict | list) else value for key, value in self.keys.items()}
        return copied, dict(self._expires)

    def restart(self, snapshot: tuple[dict[bytes, Any], dict[bytes, float]] | None = None) -> None:
        """Come back with what a snapshot has, or with nothing; all connections break."""
        self.keys, self._expires = snapshot or ({}, {})
        self._known = set()
        for session in list(self.sessions):
            session.break_off()
        self._waiting = {}

    def lose_key(self, choice: float) -> None:
        names = sorted(self._live())
        if names:
            self._delete(names[int(choice * len(names))])

    def _live(self) -> list[bytes]:
        return [key for key in list(self.keys) if self._get(key) is not None]

    def all_keys(self, living_longer_than: float) -> list[str]:
        latest = self._scheduler.now + living_longer_than
        return sorted(key.decode() for key in self._live() if self._expires.get(key, math.inf) > latest)

    # Commands

    def execute(self, arguments: Sequence[Any]) -> Any:
        """The answer to one command; errors are returned, not raised."""
        name = arguments[0]
        method = getattr(
            self, "do_" + (name if isinstance(name, str) else name.decode()).lower().replace(" ", "_"), None
        )
        if method is None:
            raise SimulationGap(f"Redis command {arguments[0]!r}")
        try:
            return method(*arguments[1:])
        except Error as error:
            return error

    def _get(self, key: bytes, kind: type | None = None) -> Any:
        value = self.keys.get(key)
        if value is None:
            return None
        expires = self._expires.get(key)
        if expires is not None and expires <= self._scheduler.now:
            self._delete(key)
            return None
        if kind is not None and type(value) is not kind:
            raise Error("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def _delete(self, key: bytes) -> bool:
        self._expires.pop(key, None)
        return self.keys.pop(key, None) is not None

    def _hash(self, key: bytes) -> dict[bytes, bytes]:
        value: dict[bytes, bytes] | None = self._get(key, dict)
        if value is None:
            value = self.keys[key] = {}
        return value

    def do_ping(self) -> Any:
        return Status("PONG")

    def do_time(self) -> list[bytes]:
        now = EPOCH + self._scheduler.now
        return [b"%d" % int(now), b"%d" % int(now % 1 * 1e6)]

    def do_set(self, key: bytes, value: bytes, *options: bytes) -> Any:
        names = [option.upper() for option in options]
        present = self._get(key)
        old = present if b"GET" in names else None
        if (b"NX" in names and present is not None) or (b"XX" in names and present is None):
            return old
        if b"KEEPTTL" not in names:
            self._expires.pop(key, None)
        self.keys[key] = value
        for option, unit in ((b"EX", 1.0), (b"PX", 0.001)):
            if option in names:
                self._expires[key] = self._scheduler.now + int(options[names.index(option) + 1]) * unit
        return old if b"GET" in names else OK

    def do_setex(self, key: bytes, seconds: bytes, value: bytes) -> Any:
        return self.do_set(key, value, b"EX", seconds)

    def do_setnx(self, key: bytes, value: bytes) -> int:
        return int(self.do_set(key, value, b"NX") is not None)

    def do_get(self, key: bytes) -> Any:
        return self._get(key, bytes)

    def do_mget(self, *keys: bytes) -> list[Any]:
        return [value if isinstance(value := self._get(key), bytes) else None for key in keys]

    def do_getdel(self, key: bytes) -> Any:
        value = self._get(key, bytes)
        self._delete(key)
        return value

    def do_strlen(self, key: bytes) -> int:
        return len(self._get(key, bytes) or b"")

    def do_getrange(self, key: bytes, start: bytes, end: bytes) -> bytes:
        value: bytes = self._get(key, bytes) or b""
        first, last = int(start), int(end)
        first = max(0, first + len(value)) if first < 0 else first
        last = last + len(value) if last < 0 else last
        return value[first : last + 1]

    def do_setrange(self, key: bytes, offset: bytes, part: bytes) -> int:
        value: bytes = self._get(key, bytes) or b""
        start = int(offset)
        if part:
            value = value[:start].ljust(start, b"\0") + part + value[start + len(part) :]
            self.keys[key] = value
        return len(value)

    def do_append(self, key: bytes, part: bytes) -> int:
        return self.do_setrange(key, b"%d" % self.do_strlen(key), part)

    def do_incrby(self, key: bytes, amount: bytes) -> int:
        value = int(self._get(key, bytes) or b"0") + int(amount)
        self.keys[key] = b"%d" % value
        return value

    def do_incr(self, key: bytes) -> int:
        return self.do_incrby(key, b"1")

    def do_decr(self, key: bytes) -> int:
        return self.do_incrby(key, b"-1")

    def do_exists(self, *keys: bytes) -> int:
        return sum(self._get(key) is not None for key in keys)

    def do_del(self, *keys: bytes) -> int:
        return sum(self._get(key) is not None and self._delete(key) for key in keys)

    do_unlink = do_del

    def do_rename(self, old: bytes, new: bytes) -> Any:
        value = self._get(old)
        if value is None:
            raise Error("ERR no such key")
        expires = self._expires.get(old)
        self._delete(old)
        self._expires.pop(new, None)
        self.keys[new] = value
        if expires is not None:
            self._expires[new] = expires
        return OK

    def do_type(self, key: bytes) -> Any:
        value = self._get(key)
        return Status({bytes: "string", dict: "hash", list: "list"}.get(type(value), "none"))

    def do_expire(self, key: bytes, seconds: bytes, *options: bytes) -> int:
        return self._expire(key, float(seconds), [option.upper() for option in options])

    def do_pexpire(self, key: bytes, milliseconds: bytes, *options: bytes) -> int:
        return self._expire(key, float(milliseconds) / 1000, [option.upper() for option in options])

    def _expire(self, key: bytes, seconds: float, options: list[bytes]) -> int:
        if self._get(key) is None:
            return 0
        new, old = self._scheduler.now + seconds, self._expires.get(key)
        if (b"NX" in options and old is not None) or (b"XX" in options and old is None):
            return 0
        if (b"GT" in options and (old is None or new <= old)) or (b"LT" in options and old is not None and new >= old):
            return 0
        if seconds <= 0:
            self._delete(key)
        else:
            self._expires[key] = new
        return 1

    def do_persist(self, key: bytes) -> int:
        return int(self._get(key) is not None and self._expires.pop(key, None) is not None)

    def do_ttl(self, key: bytes) -> int:
        left = self.do_pttl(key)
        return left if left < 0 else (left + 500) // 1000

    def do_pttl(self, key: bytes) -> int:
        if self._get(key) is None:
            return -2
        expires = self._expires.get(key)
        return -1 if expires is None else round((expires - self._scheduler.now) * 1000)

    def do_keys(self, pattern: bytes) -> list[bytes]:
        matches = _matcher(pattern)
        return [key for key in self._live() if matches(key)]

    def do_scan(self, _: bytes, *options: bytes) -> list[Any]:
        names = [option.upper() for option in options]
        pattern = options[names.index(b"MATCH") + 1] if b"MATCH" in names else b"*"
        return [b"0", self.do_keys(pattern)]

    def do_hget(self, key: bytes, field: bytes) -> Any:
        return (self._get(key, dict) or {}).get(field)

    def do_hmget(self, key: bytes, *fields: bytes) -> list[Any]:
        value = self._get(key, dict) or {}
        return [value.get(field) for field in fields]

    def do_hset(self, key: bytes, *pairs: bytes) -> int:
        value = self._hash(key)
        before = len(value)
        value.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(value) - before

    def do_hmset(self, key: bytes, *pairs: bytes) -> Any:
        self.do_hset(key, *pairs)
        return OK

    def do_hsetnx(self, key: bytes, field: bytes, value: bytes) -> int:
        found = self._hash(key)
        return 0 if field in found else self.do_hset(key, field, value)

    def do_hdel(self, key: bytes, *fields: bytes) -> int:
        value = self._get(key, dict) or {}
        removed = sum(value.pop(field, None) is not None for field in fields)
        if not value:
            self._delete(key)
        return removed

    def do_hexists(self, key: bytes, field: bytes) -> int:
        return int(field in (self._get(key, dict) or {}))

    def do_hgetall(self, key: bytes) -> list[bytes]:
        return [part for pair in (self._get(key, dict) or {}).items() for part in pair]

    def do_hkeys(self, key: bytes) -> list[bytes]:
        return list(self._get(key, dict) or {})

    def do_hvals(self, key: bytes) -> list[bytes]:
        return list((self._get(key, dict) or {}).values())

    def do_hlen(self, key: bytes) -> int:
        return len(self._get(key, dict) or {})

    def do_hincrby(self, key: bytes, field: bytes, amount: bytes) -> int:
        value = self._hash(key)
        new = int(value.get(field, b"0")) + int(amount)
        value[field] = b"%d" % new
        return new

    def do_rpush(self, key: bytes, *items: bytes) -> int:
        value = self._get(key, list)
        if value is None:
            value = self.keys[key] = []
        value.extend(items)
        length = len(value)
        while self._waiting.get(key) and self._get(key):
            self._waiting[key].pop(0).unblock(key)
        return length

    def do_llen(self, key: bytes) -> int:
        return len(self._get(key, list) or [])

    def do_lrange(self, key: bytes, start: bytes, end: bytes) -> list[bytes]:
        value = self._get(key, list) or []
        last = int(end)
        return value[int(start) :] if last == -1 else value[int(start) : last + 1]  # type: ignore[no-any-return]

    def do_lindex(self, key: bytes, index: bytes) -> Any:
        value, place = self._get(key, list) or [], int(index)
        return value[place] if -len(value) <= place < len(value) else None

    def do_ltrim(self, key: bytes, start: bytes, end: bytes) -> Any:
        value = self._get(key, list)
        if value is not None:
            value[:] = self.do_lrange(key, start, end)
            if not value:
                self._delete(key)
        return OK

    def do_lpop(self, key: bytes) -> Any:
        value = self._get(key, list)
        if not value:
            return None
        item = value.pop(0)
        if not value:
            self._delete(key)
        return item

    def do_blpop(self, *arguments: bytes) -> Any:
        *keys, seconds = arguments
        for key in keys:
            if self._get(key, list):
                return [key, self.do_lpop(key)]
        raise Blocked(list(keys), float(seconds))

    def wait_for(self, session: Session, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._waiting.setdefault(key, []).append(session)

    def wait_no_longer(self, session: Session) -> None:
        for waiting in self._waiting.values():
            if session in waiting:
                waiting.remove(session)

    # Scripts

    def do_script(self, what: bytes, *arguments: bytes) -> Any:
        match what.upper():
            case b"LOAD":
                return self.do_script_load(arguments[0])
            case b"EXISTS":
                return self.do_script_exists(*arguments)
        raise SimulationGap(f"SCRIPT {what!r}")

    def do_script_load(self, script: bytes) -> bytes:
        sha = _load(script)
        self._known.add(sha)
        return sha

    def do_script_exists(self, *shas: bytes) -> list[int]:
        return [int(sha in self._known) for sha in shas]

    def do_evalsha(self, sha: bytes, count: bytes, *arguments: bytes) -> Any:
        if sha not in self._known:
            raise Error("NOSCRIPT No matching script. Please use EVAL.")
        keys = int(count)
        return _run(self, _scripts[sha], arguments[:keys], arguments[keys:])

    def do_eval(self, script: bytes, count: bytes, *arguments: bytes) -> Any:
        return self.do_evalsha(self.do_script_load(script), count, *arguments)


# Lua ------------------------------------------------------------------------------------------------------------------

_lua = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=False)
_scripts: dict[bytes, Any] = {}
_server: RedisServer
_to_table = _lua.table_from
_wrap = _lua.eval(
    b"""
function(redis_call)
  redis = {
    call = function(...) return redis_call(true, ...) end,
    pcall = function(...) return redis_call(false, ...) end,
    status_reply = function(text) return {ok = text} end,
    error_reply = function(text) return {err = text} end,
    sha1hex = function() error('sha1hex') end,
    log = function() end,
  }
end
"""
)


def _load(script: bytes) -> bytes:
    sha = hashlib.sha1(script, usedforsecurity=False).hexdigest().encode()
    if sha not in _scripts:
        _scripts[sha] = _lua.execute(b"return function(KEYS, ARGV)\n" + script + b"\nend")
    return sha


def _call(raises: bool, *arguments: Any) -> Any:
    name, *given = arguments
    answer = _server.execute([name.decode(), *(_text(argument) for argument in given)])
    if isinstance(answer, Error):
        if raises:
            raise answer
        return _to_table({b"err": str(answer).encode()})
    return _to_lua(answer)


def _text(argument: Any) -> bytes:
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, float) and not argument.is_integer():
        return b"%.17g" % argument
    return b"%d" % argument


def _to_lua(answer: Any) -> Any:
    if answer is None:
        return False
    if isinstance(answer, Status):
        return _to_table({b"ok": answer.encode()})
    if isinstance(answer, list):
        return _to_table([_to_lua(entry) for entry in answer])
    return answer


def _from_lua(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return 1 if value else None
    if lua51.lua_type(value) == "table":
        return _from_table(value)
    return int(value) if isinstance(value, float) else value


def _from_table(table: Any) -> Any:
    for field, kind in ((b"ok", Status), (b"err", Error)):
        if table[field] is not None:
            return kind(table[field].decode())
    found: list[Any] = []
    while (entry := table[len(found) + 1]) is not None:
        found.append(_from_lua(entry))
    return found


_wrap(_call)


def _run(server: RedisServer, script: Any, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
    global _server  # noqa: PLW0603 - a script runs to its end before another begins
    _server = server
    try:
        return _from_lua(script(_to_table(list(keys)), _to_table(list(arguments))))
    except lua51.LuaError as error:
        raise SimulationGap(f"a script failed: {error}") from error


@cache
def _matcher(pattern: bytes) -> Callable[[bytes], bool]:
    # {} are plain characters in Redis and in fnmatch alike.
    compiled = re.compile(fnmatch.translate(pattern.decode()))
    return lambda key: compiled.match(key.decode()) is not None


# Clients --------------------------------------------------------------------------------------------------------------


def encoded(argument: Any) -> bytes:
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, bytearray | memoryview):
        return bytes(argument)
    if isinstance(argument, tuple):
        return b"".join(encoded(part) for part in argument)
    return (argument if isinstance(argument, str) else repr(argument)).encode()


class Connection(redis.connection.Connection):
    """redis-py's connection, as far as its client uses it: commands go to the server without bytes between."""

    def __init__(self, service: Callable[[], RedisService]) -> None:
        super().__init__(
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=4), retry_on_error=list(service().try_later)
        )
        self.service = service
        self._answers: list[Any] = []

    def connect(self, *_: Any, **__: Any) -> None:
        pass

    def disconnect(self, *_: Any, **__: Any) -> None:
        self._answers = []

    def should_reconnect(self) -> bool:
        return False

    def can_read(self, *_: Any, **__: Any) -> bool:
        return False

    def pack_commands(self, commands: Iterable[Any]) -> Any:
        return list(commands)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        self._answers = self.service().round_trip(command)

    def send_command(self, *args: Any, **_: Any) -> None:
        self._answers = self.service().round_trip([args])

    def read_response(self, *_: Any, **__: Any) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Error):
            raise redis._parsers.base.BaseParser.parse_error(str(answer))
        return answer.encode() if isinstance(answer, Status) else answer


class Pool:
    """A pool of connections without limit."""

    def __init__(self, service: Callable[[], RedisService]) -> None:
        self._service = service
        self._free: list[Connection] = []
        self.connection_kwargs: dict[str, Any] = {"protocol": 2}
        self.cache = None

    def get_connection(self, *_: Any, **__: Any) -> Connection:
        return self._free.pop() if self._free else Connection(self._service)

    def release(self, connection: Any) -> None:
        if isinstance(connection, Connection):
            self._free.append(connection)

    def get_encoder(self) -> Any:
        return redis._parsers.Encoder(encoding="utf-8", encoding_errors="strict", decode_responses=False)

    def get_protocol(self) -> int:
        return 2

    def disconnect(self, *_: Any, **__: Any) -> None:
        pass

    close = reset = disconnect


class RedisService:
    """The way to the server."""

    def __init__(self, scheduler: Scheduler, transport: Transport, try_later: Sequence[type[Exception]]) -> None:
        self._scheduler, self._transport = scheduler, transport
        self.try_later = try_later
        self.server = RedisServer(scheduler)
        self.time_limit = 10.0

    def round_trip(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands, all at once; their answers. In a transaction the last answer is a list."""
        packed = [tuple(word for word in map(encoded, command)) for command in commands]
        first = packed[1] if packed[0][0] == b"MULTI" else packed[0]

        def effect() -> list[Any]:
            if packed[0][0] != b"MULTI":
                return [self.server.execute(command) for command in packed]
            inner = packed[1:-1]
            answers = [self.server.execute(command) for command in inner]
            return [OK, *[Status("QUEUED")] * len(inner), answers]

        try:
            answers: list[Any] = self._transport.send("redis", f"redis.{first[0].decode()}", effect, self.time_limit)
        except Lost as lost:
            raise redis.exceptions.TimeoutError("Timeout reading from socket") from lost
        except Unavailable as away:
            raise redis.exceptions.ConnectionError("Error 111 connecting. Connection refused.") from away
        return answers


def client_of(service: Callable[[], RedisService]) -> redis.Redis:
    """redis-py's client of whichever service is simulated when it is used."""
    return redis.Redis(connection_pool=Pool(service))  # type: ignore[arg-type]


class Session:
    """A connection whose commands may block: the server works through them in order."""

    def __init__(self, service: RedisService) -> None:
        self._service, self._server = service, service.server
        self._queue: list[tuple[bytes, ...]] = []
        self._answers: list[Any] = []
        self._blocked: Blocked | None = None
        self._ticket = 0
        self.broken = False
        self.on_answer: Callable[[], None] = lambda: None
        self._server.sessions.add(self)

    def take(self, commands: list[tuple[bytes, ...]]) -> None:
        self._queue += commands
        if self._blocked is None:
            self._work()

    def _work(self) -> None:
        while self._queue:
            try:
                answer = self._server.execute(self._queue[0])
            except Blocked as blocked:
                self._blocked = blocked
                self._ticket += 1
                self._server.wait_for(self, blocked.keys)
                self._service._scheduler.after(blocked.seconds, partial(self._time_out, self._ticket))
                return
            self._queue.pop(0)
            self._give(answer)

    def unblock(self, key: bytes) -> None:
        """An item has come to a list that this session waits for."""
        self._server.wait_no_longer(self)
        self._blocked = None
        self._queue.pop(0)
        self._give([key, self._server.do_lpop(key)])
        self._work()

    def _time_out(self, ticket: int) -> None:
        if self._blocked is not None and ticket == self._ticket and not self.broken:
            self._server.wait_no_longer(self)
            self._blocked = None
            self._queue.pop(0)
            self._give(None)
            self._work()

    def _give(self, answer: Any) -> None:
        self._answers.append(answer)
        self.on_answer()

    def answers(self) -> list[Any]:
        taken, self._answers = self._answers, []
        return taken

    def break_off(self) -> None:
        self.broken = True
        self._queue = []
        self._blocked = None
        self._server.wait_no_longer(self)
        self._server.sessions.discard(self)
        self.on_answer()


class Wire:
    """``lnn.parameter_server.resp.RespConnection`` without bytes between: its commands may block."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._service = connection.service()
        self._commands: list[tuple[bytes, ...]] = []
        self._answers: list[Any] = []

    def send(self, commands: Iterable[Sequence[Any]]) -> None:
        self._commands += [tuple(map(encoded, command)) for command in commands]

    def read(self) -> Any:
        """The next answer. Raises OSError as a connection would, and the errors of ``resp``."""
        from lnn.parameter_server.resp import TRY_LATER, RespError, TryLater

        if self._commands:
            self._exchange()
        answer = self._answers.pop(0)
        if isinstance(answer, Error):
            code = str(answer).partition(" ")[0]
            raise (TryLater if code in TRY_LATER else RespError)(str(answer))
        return _received(answer)

    def _exchange(self) -> None:
        commands, self._commands = self._commands, []
        service = self._service

        def effect() -> Deferred:
            deferred, session = Deferred(), Session(service)
            answers: list[Any] = []

            def on_answer() -> None:
                answers.extend(session.answers())
                if session.broken:
                    deferred.give(Unavailable("redis"))
                elif len(answers) == len(commands):
                    service.server.sessions.discard(session)
                    deferred.give(answers)

            session.on_answer = on_answer
            session.take(commands)
            return deferred

        name = f"redis.{commands[0][0].decode()}"
        try:
            self._answers += service._transport.send("redis", name, effect, service.time_limit)
        except Lost as lost:
            raise TimeoutError("timed out") from lost
        except Unavailable as away:
            raise ConnectionResetError("Redis closed the connection") from away


def _received(answer: Any) -> Any:
    if isinstance(answer, Status):
        return str(answer)
    if isinstance(answer, bytes):
        return memoryview(bytearray(answer))
    return [_received(entry) for entry in answer] if isinstance(answer, list) else answer
