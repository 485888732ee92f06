"""The functions' user may do in the parameter server what their code does, and nothing that harms other runs.

A real Redis is given the access string that Terraform plans for ElastiCache.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis

from lnn.errors import CacheLost
from lnn.parameter_server.barrier import ArrivalStatus, Barrier, Step
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.record_list import Records
from lnn.parameter_server.server import ParameterServer
from lnn_tools.local_cloud.tools import redis_server
from support.terraform_plans import Resources

USER, PASSWORD = "lnn-functions", "of-this-test-only"


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """Where a Redis of its own listens; in a short path, for a socket's may have 100 characters at most."""
    with tempfile.TemporaryDirectory(prefix="lnn-") as folder:
        path = Path(folder) / "redis"
        command = [str(redis_server()), "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder]
        # Else DEBUG is refused to everybody, whatever a user's access string says.
        command += ["--enable-debug-command", "local"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while not path.exists():
                assert process.poll() is None, "Redis ended"
                assert time.monotonic() < deadline, "Redis does not start"
                time.sleep(0.02)
            yield path
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def client(socket: Path, planned: Callable[[str], Resources]) -> redis.Redis:
    """Logged in as the functions' user; the password stands in for an IAM token."""
    user = planned("aws-default")["module.elasticache.aws_elasticache_user.functions[0]"]["values"]
    administrator = redis.Redis(unix_socket_path=str(socket))
    administrator.execute_command("ACL", "SETUSER", USER, *user["access_string"].split(), f">{PASSWORD}")
    return redis.Redis(unix_socket_path=str(socket), username=USER, password=PASSWORD)


def test_the_codes_own_steps_are_allowed(client: redis.Redis) -> None:
    assert client.ping()
    server = ParameterServer(client, "run")
    barrier = Barrier(server)
    matrix = np.arange(6.0).reshape(2, 3)
    key = TensorKey.parse(server.put("W1", matrix))
    assert np.array_equal(server.get(key), matrix)
    assert np.array_equal(server.get_row(key, 1), matrix[1:])
    assert np.array_equal(server.get_column(key, 2), matrix[:, 2:])

    fill, key = server.fill("1-a"), TensorKey("W1", matrix.dtype, matrix.shape, version=1)
    fill.put_tensor(key, matrix)
    entry, step, following = (Step(1, 0, 0, "forward", layer, fill="1-a") for layer in range(3))
    assert barrier.reserve(entry)
    assert barrier.open(entry, step, 1, {"cost": "0", "renewed_at": "0"}, [key])
    assert barrier.arrive(step, 0, [(key, matrix[1:])], 5).status is ArrivalStatus.COMPLETE
    assert barrier.missing(step, 1) == []
    barrier.confirm_dispatch(step)
    assert barrier.advance(step, following, 1, {"cost": "1"}, [(key, matrix)])
    assert barrier.current(following)
    (read,) = barrier.read(following, [key])
    assert np.array_equal(read, matrix)
    assert np.array_equal(fill.get_row(key, 1), matrix[1:])
    assert np.array_equal(fill.get_column(key, 2), matrix[:, 2:])
    barrier.keep(following, [key])
    adopted = barrier.adopt(following, 2, [key])
    position = barrier.position()
    assert position is not None
    assert position.step == adopted

    assert server.takes_writes()
    with pytest.raises(CacheLost), barrier.abandoned_if_lost(position.step):
        fill.get(TensorKey("gone", matrix.dtype, matrix.shape))
    assert barrier.position() is None
    records = Records(server)
    (left,) = records.fills(1)
    lines = records.waiting(left)
    assert len(lines) == 2
    records.forget(left, lines[:1])
    assert records.waiting(left) == lines[1:]
    assert server.remove(2) == 3
    assert list(client.scan_iter("lnn:*")) == []


@pytest.mark.parametrize(
    "command",
    [
        "ACL LIST",
        "CLIENT KILL TYPE normal",
        "CONFIG GET *",
        "DEBUG SLEEP 0",
        "FLUSHALL",
        "FLUSHDB",
        "GET other:key",
        "INFO",
        "KEYS *",
        "MONITOR",
        "PUBLISH channel message",
        "REPLICAOF no one",
        "SCRIPT FLUSH",
        "SET other:key 1",
        "SHUTDOWN",
        "SWAPDB 0 1",
    ],
)
def test_what_harms_others_is_refused(client: redis.Redis, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


def test_a_script_may_not_do_what_its_caller_may_not(client: redis.Redis) -> None:
    with pytest.raises(redis.exceptions.ResponseError, match=r"can't run|permission"):
        client.eval("return redis.call('FLUSHALL')", 0)
