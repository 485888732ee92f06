"""The local cloud starts, starts again, heals, and goes without a trace."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.e2e_cloud import CloudUnderTest, eventually, local_cloud


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Folder of a local cloud of this test's own."""
    folder = tmp_path / "cloud"
    yield folder
    local_cloud("down", folder)


def record(home: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / f"{name}.pid").read_text())
    return found


def up(home: Path) -> str:
    done = local_cloud("up", home)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_alive(process: psutil.Process) -> bool:
    """Whether it still runs: an ended process that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_up_again_down_and_a_killed_emulator(home: Path) -> None:
    up(home)
    first = {name: record(home, name) for name in ("emulator", "redis")}
    assert local_cloud("status", home).returncode == 0

    assert "nothing to deploy" in up(home)
    assert {name: record(home, name) for name in first} == first

    cloud = CloudUnderTest(home)
    cloud.invoke("trainer", {"state": "watch"})
    workers = cloud.workers("trainer")
    assert workers
    emulator = psutil.Process(first["emulator"]["pid"])
    emulator.kill()
    eventually(lambda: not is_open(first["emulator"]["port"]), "the emulator's end", 10)
    assert local_cloud("status", home).returncode == 1

    up(home)
    second = {name: record(home, name) for name in first}
    assert second["redis"] == first["redis"]
    assert second["emulator"]["pid"] != first["emulator"]["pid"]
    assert not any(is_alive(worker) for worker in workers)
    again = CloudUnderTest(home)
    again.invoke("trainer", {"state": "watch"})

    servers = [psutil.Process(server["pid"]) for server in second.values()]
    processes = servers + [child for server in servers for child in server.children(recursive=True)]
    done = local_cloud("down", home)
    assert done.returncode == 0, done.stderr
    assert len(processes) >= 3
    assert not any(is_alive(process) for process in processes)
    assert not any(is_open(server["port"]) for server in second.values())
    assert not [*home.glob("*.pid"), *home.glob("cloud.json"), *home.glob("terraform.tfstate*")]
    assert local_cloud("status", home).returncode == 1
    assert local_cloud("down", home).stdout == "local cloud: not running\n"


@pytest.mark.parametrize("variable", ["LNN_EMULATOR_PORT", "LNN_REDIS_PORT"])
def test_a_port_in_use_is_one_clear_line(home: Path, variable: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = local_cloud("up", home, **{variable: str(port)})
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith("local cloud: ")
        assert f"port {port}" in line
        assert variable in line
        assert "in use" in line
    assert local_cloud("down", home).returncode == 0


def test_a_port_that_is_no_number_is_one_clear_line(home: Path) -> None:
    done = local_cloud("up", home, LNN_REDIS_PORT="many")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "local cloud: LNN_REDIS_PORT=many is not a port; give a number from 1024 to 65535, or 0 for any free port"
    ]
