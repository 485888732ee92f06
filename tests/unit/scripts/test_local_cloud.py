"""The local cloud's parts that need no emulator: processes, ports, and what is made of Terraform's errors."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lnn_tools.errors import ToolError
from lnn_tools.local_cloud import deployment
from lnn_tools.local_cloud.deployment import LostAnswerError
from lnn_tools.local_cloud.home import Home
from lnn_tools.local_cloud.ports import claim_port, is_listening, wanted_port
from lnn_tools.local_cloud.processes import Service, await_ready, members, start, start_time, stop, stop_strays, strays
from lnn_tools.local_cloud.servers import clean_environment, redis_answers, running_or_wanted

SLEEPER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Service]:
    """A process with a child, started as the servers are."""
    log = tmp_path / "server.log"
    process = start([sys.executable, "-c", SLEEPER], log, {}, tmp_path)
    await_ready("the sleeper", process, lambda: "up" in log.read_text(), log, 10)
    service = Service(process.pid, start_time(process.pid) or "", 1, "")
    yield service
    stop(service)
    process.wait()


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_recorded_service_is_found_again_while_it_runs(server: Service, tmp_path: Path) -> None:
    server.save(tmp_path / "server.pid")

    assert Service.load(tmp_path / "server.pid") == server
    assert (tmp_path / "server.pid").stat().st_mode & 0o077 == 0


def test_stopping_a_service_ends_its_children_too(server: Service) -> None:
    assert len(members(server.pid)) == 2

    stop(server)

    assert members(server.pid) == []
    assert not server.alive


def test_a_later_process_with_the_same_id_is_not_taken_for_the_service_and_not_stopped(
    server: Service, tmp_path: Path
) -> None:
    earlier = Service(server.pid, "1", server.port, server.fingerprint)
    earlier.save(tmp_path / "server.pid")

    assert Service.load(tmp_path / "server.pid") is None
    stop(earlier)
    assert server.alive


@pytest.mark.parametrize("content", ["", "4711", "{}", '{"pid": 1}'])
def test_a_damaged_record_is_no_service(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.pid").write_text(content)

    assert Service.load(tmp_path / "server.pid") is None


def test_workers_whose_emulator_was_killed_are_found_by_their_program_and_ended(tmp_path: Path) -> None:
    worker = tmp_path / "tmp" / "worker.py"
    worker.parent.mkdir()
    worker.write_text("import time; time.sleep(60)")
    process = subprocess.Popen([sys.executable, str(worker)])

    assert strays(tmp_path / "tmp") == [process.pid]
    stop_strays(tmp_path / "tmp")

    assert process.wait() != 0


def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    process = start([sys.executable, "-c", "raise SystemExit('no such option')"], log, {}, tmp_path)

    with pytest.raises(ToolError, match=r"(?s)stopped with status 1.*no such option"):
        await_ready("the server", process, lambda: False, log, 10)


def test_a_port_in_use_is_one_error_that_names_its_user_and_a_way_out(taken_port: int) -> None:
    with pytest.raises(ToolError) as refused:
        claim_port("LNN_REDIS_PORT", taken_port, "Redis")

    message = str(refused.value)
    assert f"port {taken_port} for Redis is in use by process {os.getpid()}" in message
    assert "LNN_REDIS_PORT=" in message
    assert is_listening(taken_port)


def test_port_zero_asks_for_any_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNN_REDIS_PORT", "0")

    port = claim_port("LNN_REDIS_PORT", wanted_port("LNN_REDIS_PORT", 6399), "Redis")

    assert port > 0
    assert not is_listening(port)


@pytest.mark.parametrize("text", ["-1", "65536", "http", "4566.0"])
def test_what_is_no_port_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LNN_EMULATOR_PORT", text)

    with pytest.raises(ToolError, match="LNN_EMULATOR_PORT="):
        wanted_port("LNN_EMULATOR_PORT", 4566)


def test_a_running_service_keeps_its_port_unless_another_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Service(1, "1", 4700, "")

    monkeypatch.delenv("LNN_EMULATOR_PORT", raising=False)
    assert running_or_wanted(running, ("LNN_EMULATOR_PORT", 4566), "the emulator") == 4700
    monkeypatch.setenv("LNN_EMULATOR_PORT", "0")
    assert running_or_wanted(running, ("LNN_EMULATOR_PORT", 4566), "the emulator") == 4700
    monkeypatch.setenv("LNN_EMULATOR_PORT", "4800")
    with pytest.raises(ToolError, match=r"runs on port 4700, not LNN_EMULATOR_PORT=4800; .*make down"):
        running_or_wanted(running, ("LNN_EMULATOR_PORT", 4566), "the emulator")


def test_something_else_on_the_port_is_no_redis(taken_port: int, tmp_path: Path) -> None:
    assert not redis_answers(Home(tmp_path), Service(1, "1", taken_port, ""))


def test_servers_get_nothing_of_the_users_credentials_or_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")

    environment = clean_environment(Home(tmp_path))

    assert not {name for name in environment if name.startswith(("AWS_", "PYTHON"))}
    assert environment["HOME"].startswith(str(tmp_path))


def test_terraform_never_sees_the_users_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example.org")
    monkeypatch.setenv("TF_CLI_ARGS_apply", "-state=/elsewhere")

    environment = deployment.terraform_environment(Home(tmp_path), Service(1, "1", 4700, "", "secret"))

    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4700"
    assert environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "TF_CLI_ARGS_apply"} & environment.keys()


def run_terraform(tmp_path: Path, script: str) -> None:
    """Runs `deployment.terraform` with a program of that name that does what `script` says."""
    program = tmp_path / "bin" / "terraform"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patched, (tmp_path / "terraform.log").open("w") as log:
        patched.setenv("PATH", path)
        deployment.terraform(["apply"], {"PATH": path}, log)


def test_a_failed_apply_is_reported_with_terraforms_own_words(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"(?s)terraform apply failed.*Error: Invalid function argument") as failed:
        run_terraform(tmp_path, "echo 'Error: Invalid function argument'; exit 1")
    assert not isinstance(failed.value, LostAnswerError)


@pytest.mark.parametrize(
    "error",
    [
        "Error: creating Security Group (x): InvalidGroup.Duplicate: The security group 'x' already exists",
        "Error: adding Lambda Permission: ResourceConflictException: The statement id provided already exists.",
    ],
)
def test_a_conflict_with_its_own_doing_is_told_from_other_errors(tmp_path: Path, error: str) -> None:
    with pytest.raises(LostAnswerError):
        run_terraform(tmp_path, f'echo "{error}"; exit 1')


@pytest.mark.parametrize("elapsed", ["1m40s", "01m50s", "2m0s"])
def test_an_apply_that_makes_no_progress_is_interrupted(tmp_path: Path, elapsed: str) -> None:
    with pytest.raises(LostAnswerError, match="makes no progress"):
        run_terraform(tmp_path, f"echo 'module.x.y: Still creating... [{elapsed} elapsed]'; exec sleep 600")


def test_an_apply_that_takes_its_time_is_left_alone(tmp_path: Path) -> None:
    run_terraform(tmp_path, "echo 'module.x.y: Still creating... [1m30s elapsed]'; exec sleep 1")
