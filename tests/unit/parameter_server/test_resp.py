"""Redis commands and answers as bytes: what is sent is what Redis's protocol asks for, however it is cut on its way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn.parameter_server.resp import CHUNK_BYTES, SPIN_SECONDS, RespConnection, RespError


class Connection:
    """As much of a redis-py connection as RespConnection needs."""

    def __init__(self, end: socket.socket) -> None:
        self._sock = end


@pytest.fixture
def ends() -> Iterator[tuple[RespConnection, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.settimeout(5)
    with ours, theirs:
        yield RespConnection(Connection(ours)), theirs


def received_by(peer: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        found += peer.recv(1 << 20)
    return found


def encoded(answer: Any) -> bytes:
    """An answer as Redis puts it."""
    if answer is None:
        return b"*-1\r\n"
    if isinstance(answer, int):
        return b":%d\r\n" % answer
    if isinstance(answer, bytes):
        return b"$%d\r\n%s\r\n" % (len(answer), answer)
    if isinstance(answer, str):
        return b"+" + answer.encode() + b"\r\n"
    return b"*%d\r\n" % len(answer) + b"".join(map(encoded, answer))


def plain(answer: Any) -> Any:
    if isinstance(answer, memoryview):
        return bytes(answer)
    return [plain(item) for item in answer] if isinstance(answer, list) else answer


def test_a_command_is_an_array_of_its_arguments(ends: tuple[RespConnection, socket.socket]) -> None:
    wire, peer = ends
    wire.send([("RPUSH", "list", (b"head", b"body")), ("EXPIRE", "list", 60)])
    expected = b"*3\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n$8\r\nheadbody\r\n*3\r\n$6\r\nEXPIRE\r\n$4\r\nlist\r\n$2\r\n60\r\n"
    assert received_by(peer, len(expected)) == expected


@pytest.mark.parametrize("values", [1, CHUNK_BYTES // 8 - 1, CHUNK_BYTES // 8, 100_000])
def test_an_array_is_sent_as_its_bytes_whatever_its_size_and_shape(
    ends: tuple[RespConnection, socket.socket], values: int
) -> None:
    wire, peer = ends
    array = np.arange(values, dtype=np.float64).reshape(1, -1)
    header = b"*3\r\n$5\r\nRPUSH\r\n$1\r\nl\r\n"
    expected = header + b"$%d\r\n" % (2 + array.nbytes) + b"<>" + array.tobytes() + b"\r\n"
    sender = threading.Thread(target=wire.send, args=[[("RPUSH", "l", (b"<>", array.data))]])
    sender.start()
    assert received_by(peer, len(expected)) == expected
    sender.join()


ANSWERS = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=50) | st.just("OK"),
    lambda answers: st.lists(answers, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200)
@given(answers=st.lists(ANSWERS, min_size=1, max_size=5), cuts=st.lists(st.integers(0, 300), max_size=20))
def test_answers_are_the_same_wherever_the_network_cuts_them(answers: list[Any], cuts: list[int]) -> None:
    raw = b"".join(map(encoded, answers))
    ends = sorted({min(end, len(raw)) for end in cuts} - {0} | {len(raw)})

    class Cut:
        """A socket that gives its bytes in pieces that end where ``cuts`` says."""

        given = 0

        def recv_into(self, place: memoryview) -> int:
            end = next(end for end in ends if end > self.given)
            piece = raw[self.given : min(end, self.given + len(place))]
            place[: len(piece)] = piece
            self.given += len(piece)
            return len(piece)

    wire = RespConnection(Connection(Cut()))  # type: ignore[arg-type]
    assert [plain(wire.read()) for _ in answers] == answers


@pytest.mark.parametrize("length", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 17, 1_000_000])
def test_a_long_value_arrives_whole_between_others(ends: tuple[RespConnection, socket.socket], length: int) -> None:
    wire, peer = ends
    value = np.random.default_rng(length).bytes(length)
    sender = threading.Thread(target=peer.sendall, args=[encoded(1) + encoded([b"list", value]) + encoded(2)])
    sender.start()
    assert [plain(wire.read()) for _ in range(3)] == [1, [b"list", value], 2]
    sender.join()


def test_an_error_of_redis_is_raised_with_its_words(ends: tuple[RespConnection, socket.socket]) -> None:
    wire, peer = ends
    peer.sendall(b"-OOM command not allowed when used memory > 'maxmemory'.\r\n")
    with pytest.raises(RespError, match="OOM command not allowed"):
        wire.read()


def test_what_is_no_answer_is_refused(ends: tuple[RespConnection, socket.socket]) -> None:
    wire, peer = ends
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(RespError, match="HTTP"):
        wire.read()


def test_a_connection_that_closes_in_the_middle_of_an_answer_is_an_error(
    ends: tuple[RespConnection, socket.socket],
) -> None:
    wire, peer = ends
    peer.sendall(b"$100\r\nonly so much")
    peer.close()
    with pytest.raises(ConnectionResetError):
        wire.read()


def test_nothing_is_none_in_both_protocols(ends: tuple[RespConnection, socket.socket]) -> None:
    wire, peer = ends
    peer.sendall(b"$-1\r\n*-1\r\n_\r\n")
    assert [wire.read() for _ in range(3)] == [None, None, None]


@pytest.mark.parametrize("late", [0.0, SPIN_SECONDS / 2, SPIN_SECONDS * 20], ids=["at once", "soon", "after sleeping"])
def test_an_answer_to_short_commands_is_read_whenever_it_comes(
    ends: tuple[RespConnection, socket.socket], late: float
) -> None:
    wire, peer = ends
    wire.send([("GET", "key")])
    received_by(peer, len(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"))
    timer = threading.Timer(late, peer.sendall, [encoded(b"value") + encoded(7)])
    timer.start()
    assert [plain(wire.read()), wire.read()] == [b"value", 7]
    timer.join()


def test_silence_ends_with_the_connection_s_own_time_out() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.05)
        wire = RespConnection(Connection(ours))
        wire.send([("PING",)])
        with pytest.raises(TimeoutError):
            wire.read()
