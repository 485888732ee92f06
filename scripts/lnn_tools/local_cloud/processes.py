"""Processes that outlive the command that started them, identified by process id and start time together."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lnn_tools.errors import ToolError

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Service:
    """A running server: its process, its port, and the hash of its settings.

    `started` distinguishes it from a later process with a recycled id. A different `fingerprint` calls for a restart.
    """

    pid: int
    started: str
    port: int
    fingerprint: str
    secret: str = ""

    @classmethod
    def load(cls, path: Path) -> "Service | None":
        """The service recorded in `path`, if it still runs."""
        try:
            service = cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return service if service.alive else None

    def save(self, path: Path) -> None:
        """Writes the record to `path`, readable by this user only."""
        part = path.with_name(f"{path.name}.part")
        with open(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:  # noqa: PTH123
            json.dump(asdict(self), file)
        part.replace(path)

    @property
    def alive(self) -> bool:
        """True if the process with this id is still the one that was started."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """When process `pid` started, or None if it does not run (a zombie does not).

    On Linux it is counted in clock ticks since boot, which do not change when the clock is set.
    """
    try:
        if sys.platform == "linux":
            # proc(5): field 3 is the state, 22 the start time; the name, field 2, may hold spaces and parentheses.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] in {"Z", "X"} else fields[19]
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except (OSError, psutil.Error):
        return None


def start(command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Starts a server in a session of its own, which makes a process group, with no variables but `environment`."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )


def await_ready(
    name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, seconds: float
) -> None:
    """Waits until `ready()` is true.

    Raises:
        ToolError: the process ended, or was not ready in time; with the last lines of its log.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise ToolError(f"{name} stopped with status {process.returncode}; {tail(log)}")
        if time.monotonic() > deadline:
            raise ToolError(f"{name} does not answer after {seconds:.0f} s; {tail(log)}")
        time.sleep(POLL_SECONDS)


def tail(log: Path, lines: int = 8) -> str:
    """A log's path and its last lines."""
    try:
        text = log.read_text(errors="replace").strip()
    except OSError:
        text = ""
    return f"log: {log}" + "".join(f"\n    {line}" for line in text.splitlines()[-lines:])


def members(group: int) -> list[int]:
    """Ids of the living processes of a process group."""
    found = []
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == group and start_time(pid) is not None:
                found.append(pid)
        except OSError:
            continue
    return found


def strays(folder: Path) -> list[int]:
    """Ids of processes that run a program below `folder`, such as workers whose emulator was killed."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(argument.startswith(f"{folder}{os.sep}") for argument in (process.info["cmdline"] or [])[:2])
    ]


def stop(service: Service, grace_seconds: float = 5.0) -> None:
    """Ends a service and its children, and returns when they are gone."""
    if service.alive:
        end(lambda: members(service.pid), grace_seconds)


def stop_strays(folder: Path, grace_seconds: float = 2.0) -> None:
    end(lambda: strays(folder), grace_seconds)


def end(find: Callable[[], list[int]], grace_seconds: float) -> None:
    """Terminates the processes that `find` returns, and kills those that are left after ``grace_seconds``.

    Raises:
        ToolError: some still run five seconds later.
    """
    for sent, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        for pid in find():
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not find():
                return
            time.sleep(POLL_SECONDS)
    raise ToolError(f"processes {', '.join(map(str, find()))} do not end; end them by hand: kill -9 PID")


def owner_of(port: int) -> str:
    """The process that listens on a loopback port, if this user may see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                command = psutil.Process(connection.pid).cmdline()
                return f"process {connection.pid} ({shlex.join(command)[:60]})"
    except (psutil.Error, OSError):
        pass
    return "another process"
