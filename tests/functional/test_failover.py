"""A failover, on a real primary and its replica: whoever still talks to the old primary goes on with the new one."""

from __future__ import annotations

import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from redis._parsers.base import BaseParser

from lnn.environment import CacheAddress
from lnn.messages import Step
from lnn.parameter_server import resp
from lnn.parameter_server.barrier import ArrivalStatus, Barrier
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.connection import TRY_LATER, connect
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.server import ParameterServer
from lnn_tools.local_cloud.ports import claim_port
from lnn_tools.local_cloud.tools import redis_server

W = np.arange(12.0).reshape(3, 4)


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(redis.ConnectionError, OSError):
            if condition():
                return
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.01)


class Servers:
    """Redis servers of one test, on loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._clients: list[redis.Redis] = []

    def start(self, *options: str) -> int:
        """Its port."""
        port = claim_port("LNN_NO_SUCH_VARIABLE", None, "Redis")
        folder = self._folder / str(port)
        folder.mkdir()
        command = [redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._running.append(subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL))
        until(lambda: socket.create_connection(("127.0.0.1", port), 1).close() is None, "the server")
        return port

    def administer(self, port: int) -> redis.Redis:
        client = redis.Redis(port=port, retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))
        self._clients.append(client)
        return client

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        for server in self._running:
            server.terminate()
        for server in self._running:
            server.wait(timeout=10)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    started = Servers(tmp_path)
    try:
        yield started
    finally:
        started.stop()


class Endpoint(socketserver.ThreadingTCPServer):
    """The cache's name: where it leads is decided when a connection is made, as DNS decides it."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *targets: int) -> None:
        """``targets`` are ports: of the first connection, the second and so on; the last is all others', too."""
        super().__init__(("127.0.0.1", 0), Relay)
        self.targets = list(targets)

    def next_target(self) -> int:
        return self.targets.pop(0) if len(self.targets) > 1 else self.targets[0]

    def connect(self) -> redis.Redis:
        return connect(CacheAddress("127.0.0.1", self.server_address[1], tls=False, user="", name=""), "us-east-1")


class Relay(socketserver.BaseRequestHandler):
    """One connection through an endpoint."""

    server: Endpoint

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.next_target())) as target:
            back = threading.Thread(target=self.copy, args=(target, self.request), daemon=True)
            back.start()
            self.copy(self.request, target)
            back.join()

    @staticmethod
    def copy(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                sink.sendall(content)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def endpoint_of() -> Iterator[Callable[..., Endpoint]]:
    made: list[Endpoint] = []

    def make(*targets: int) -> Endpoint:
        endpoint = Endpoint(*targets)
        made.append(endpoint)
        threading.Thread(target=endpoint.serve_forever, args=(0.05,), daemon=True).start()
        return endpoint

    yield make
    for endpoint in made:
        endpoint.shutdown()
        endpoint.server_close()


class Pair:
    """A primary, its replica, and the name that leads to the primary."""

    def __init__(self, servers: Servers, endpoint_of: Callable[..., Endpoint]) -> None:
        fast = ("--repl-diskless-sync-delay", "0")
        self.ports = servers.start(*fast), servers.start(*fast)
        self.first, self.second = map(servers.administer, self.ports)
        self.second.replicaof("127.0.0.1", self.ports[0])
        until(lambda: self.second.info("replication")["master_link_status"] == "up", "the replica's link")
        self.endpoint = endpoint_of(self.ports[0])

    def fail_over(self) -> None:
        """The replica becomes the primary, and the primary its replica, as ElastiCache does it; connections stay."""
        done = self.first.execute_command("WAIT", 1, 10_000)
        assert done == 1, "the replica has everything"
        self.second.execute_command("REPLICAOF", "NO", "ONE")
        self.endpoint.targets = [self.ports[1]]
        self.first.replicaof("127.0.0.1", self.ports[1])


@pytest.fixture
def pair(servers: Servers, endpoint_of: Callable[..., Endpoint]) -> Pair:
    return Pair(servers, endpoint_of)


@pytest.fixture
def client(pair: Pair) -> Iterator[redis.Redis]:
    with closing(pair.endpoint.connect()) as client:
        yield client


def test_a_tensor_is_stored_after_a_failover(pair: Pair, client: redis.Redis) -> None:
    server = ParameterServer(client, "run-1")
    server.put("before", 1)
    pair.fail_over()
    key = server.put("W1", W)
    np.testing.assert_array_equal(server.get(key), W)
    assert server.get("before|int") == 1
    assert pair.second.exists(server.path(key), server.path("before|int")) == 2


def test_pipelines_go_on_after_a_failover(pair: Pair, client: redis.Redis) -> None:
    server = ParameterServer(client, "run-1")
    assert server.remove(1) == 0  # the script is known
    server.put("W1", W)
    pair.fail_over()
    (row,) = server.get_rows([TensorKey("W1", W.dtype, W.shape)], 1)
    np.testing.assert_array_equal(row, W[1:2])
    assert server.remove(1) == 1
    assert pair.second.dbsize() == 0


def test_a_server_that_was_demoted_takes_no_writes_but_the_next_one_does(pair: Pair, client: redis.Redis) -> None:
    server = ParameterServer(client, "run-1")
    assert server.takes_writes()
    pair.fail_over()
    assert server.takes_writes()


def test_neurons_meet_at_the_barrier_after_a_failover(pair: Pair, client: redis.Redis) -> None:
    server, step = ParameterServer(client, "run-1"), Step(1, 1, 0, "forward", 1, "1-a")
    barrier, key = Barrier(server), TensorKey("A1", np.dtype("float64"), (2, 3), 1)
    fill = server.fill("1-a")
    fill.put_tensor(key, np.zeros((2, 3)))
    entry = Step(1, 0, 0, "forward", 0, "1-a")
    assert barrier.reserve(entry)
    assert barrier.open(entry, step, 2, {}, [key])
    assert barrier.arrive(step, 0, [(key, np.ones((1, 3)))]).status is ArrivalStatus.COUNTED
    pair.fail_over()
    assert barrier.arrive(step, 1, [(key, np.ones((1, 3)))]).status is ArrivalStatus.COMPLETE
    pair.first, pair.second = pair.second, pair.first
    following = Step(1, 1, 0, "backward", 1, "1-a")
    assert barrier.advance(step, following, 2, {})
    position = barrier.position()
    assert position is not None
    assert position.step == following
    np.testing.assert_array_equal(fill.get(key), np.ones((2, 3)))


@pytest.fixture
def workers(pair: Pair) -> Iterator[list[ProcessGroup]]:
    """Two workers that have met."""
    clients = [pair.endpoint.connect() for _ in range(2)]
    groups = [ProcessGroup(ParameterServer(client, "run-1"), "1-a", rank, 2) for rank, client in enumerate(clients)]
    try:
        for group in groups:
            assert group.join("owner")
        assert exchange(groups, b"a", b"b") == [[b"a", b"b"]] * 2
        yield groups
    finally:
        for group, client in zip(groups, clients, strict=True):
            group.close()
            client.close()


def exchange(
    groups: list[ProcessGroup], *parts: bytes, between: Callable[[], None] = lambda: None
) -> list[list[bytes]]:
    """What each worker gets; ``between`` is called when the first waits for the second."""
    with ThreadPoolExecutor(len(groups)) as pool:
        first = pool.submit(groups[0].all_gather, parts[0])
        between()
        others = [pool.submit(group.all_gather, part) for group, part in zip(groups[1:], parts[1:], strict=True)]
        return [[bytes(part) for part in future.result(60)] for future in (first, *others)]


def test_workers_exchange_parts_after_a_failover(pair: Pair, workers: list[ProcessGroup]) -> None:
    pair.fail_over()
    long = bytes(200_000)
    assert exchange(workers, b"c", long) == [[b"c", long]] * 2
    assert exchange(workers, b"d", b"e") == [[b"d", b"e"]] * 2


def test_a_worker_that_waits_while_the_primary_becomes_a_replica_gets_its_part(
    pair: Pair, workers: list[ProcessGroup]
) -> None:
    def fail_over() -> None:
        until(lambda: pair.first.info("clients")["blocked_clients"] == 1, "the wait")
        pair.fail_over()

    assert exchange(workers, b"c", b"d", between=fail_over) == [[b"c", b"d"]] * 2
    assert exchange(workers, b"e", b"f") == [[b"e", b"f"]] * 2


def test_the_last_part_of_a_worker_comes_in_after_a_failover(pair: Pair, workers: list[ProcessGroup]) -> None:
    pair.fail_over()
    workers[1].gather(b"figures")
    assert [bytes(part) for part in workers[0].gather(b"own")] == [b"own", b"figures"]


# Servers that are not the one to ask, and whose place another takes


@pytest.fixture
def away(request: pytest.FixtureRequest, servers: Servers) -> int:
    """The port of a server that answers every command with the code."""
    code = request.param
    if code == "CLUSTERDOWN":
        port = servers.start("--cluster-enabled", "yes")
        until(lambda: servers.administer(port).info("cluster")["cluster_enabled"] == 1, "the node of a cluster")
    else:
        nobody = claim_port("LNN_NO_SUCH_VARIABLE", None, "nobody")
        stale = "no" if code == "MASTERDOWN" else "yes"
        port = servers.start("--replica-serve-stale-data", stale, "--replicaof", "127.0.0.1", str(nobody))
    return port


CODES = pytest.mark.parametrize("away", ["READONLY", "MASTERDOWN", "CLUSTERDOWN"], indirect=True)


@CODES
def test_a_command_goes_on_with_the_server_that_takes_the_place(
    away: int, servers: Servers, endpoint_of: Callable[..., Endpoint]
) -> None:
    with closing(endpoint_of(away, servers.start()).connect()) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"


@CODES
def test_an_exchange_goes_on_with_the_server_that_takes_the_place(
    away: int, servers: Servers, endpoint_of: Callable[..., Endpoint]
) -> None:
    port = servers.start()
    clients = [endpoint_of(away, port).connect() for _ in range(2)]
    groups = [ProcessGroup(ParameterServer(client, "run-1"), "1-a", rank, 2) for rank, client in enumerate(clients)]
    try:
        assert exchange(groups, b"a", b"b") == [[b"a", b"b"]] * 2
    finally:
        for group, client in zip(groups, clients, strict=True):
            group.close()
            client.close()


def test_a_server_that_is_loading_is_waited_for(servers: Servers, tmp_path: Path) -> None:
    made = servers.start("--dbfilename", "made.rdb")
    writer = servers.administer(made)
    writer.mset({f"key-{number}": "value" for number in range(2000)})
    writer.save()
    (tmp_path / "snapshots").mkdir()
    shutil.copy(tmp_path / str(made) / "made.rdb", tmp_path / "snapshots" / "made.rdb")
    # So many microseconds for each key: some seconds in which it answers LOADING.
    slow = ("--key-load-delay", "1500", "--loading-process-events-interval-bytes", "1024")
    port = servers.start("--dir", str(tmp_path / "snapshots"), "--dbfilename", "made.rdb", *slow)
    address = CacheAddress("127.0.0.1", port, tls=False, user="", name="")
    with closing(connect(address, "us-east-1")) as client:
        asked = servers.administer(port)
        with pytest.raises(redis.BusyLoadingError):
            asked.get("key-1")
        group = ProcessGroup(ParameterServer(client, "run-1"), "1-a", 1, 2)
        group.gather(b"part")
        group.close()
        assert client.get("key-1999") == b"value"


def test_the_wire_and_the_client_go_on_after_the_same_answers() -> None:
    parsed = {code: BaseParser.parse_error(f"{code} and why") for code in resp.TRY_LATER - {"UNBLOCKED"}}
    assert {type(error) for error in parsed.values()} == set(TRY_LATER)
