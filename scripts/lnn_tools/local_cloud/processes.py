"""Processes that outlive the command that started them: found again by process id and start time, never by id alone."""

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

from lnn_tools.local_cloud.errors import LocalCloudError

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Service:
    """A running server: its process, its port, and what it was started with.

    `started` tells it from a later process with a recycled id. `fingerprint` changes when it ought to be started anew.
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
        """Records it in `path`, readable by this user only."""
        part = path.with_name(f"{path.name}.part")
        with open(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:  # noqa: PTH123
            json.dump(asdict(self), file)
        part.replace(path)

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """When process `pid` started, or None if it does not run (a zombie does not).

    On Linux in clock ticks since boot: unlike a wall-clock time it does not move when the clock is set.
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
    """Starts a server in a session, and so a process group, of its own, with nothing of ours but `environment`."""
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
    """Waits until `ready()`.

    Raises:
        LocalCloudError: the process ended, or is not ready in time; with the log's last lines.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None:
            raise LocalCloudError(f"{name} stopped with status {process.returncode}; {tail(log)}")
        if time.monotonic() > deadline:
            raise LocalCloudError(f"{name} does not answer after {seconds:.0f} s; {tail(log)}")
        time.sleep(POLL_SECONDS)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, and where it is."""
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
    """Ids of the processes that run a program below `folder`: workers whose emulator was killed."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        if any(argument.startswith(f"{folder}{os.sep}") for argument in arguments[:2]):
            found.append(process.pid)
    return found


def stop(service: Service, grace_seconds: float = 5.0) -> None:
    """Ends a service and its children: asks, waits, and then insists. Returns when they are gone."""
    if service.alive:
        end(lambda: members(service.pid), grace_seconds)


def stop_strays(folder: Path, grace_seconds: float = 2.0) -> None:
    """Ends what `strays` finds."""
    end(lambda: strays(folder), grace_seconds)


def end(find: Callable[[], list[int]], grace_seconds: float) -> None:
    """Ends the processes that `find` names, until it names none.

    Raises:
        LocalCloudError: some do not end.
    """
    for sent, patience in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        for pid in find():
            try:
                os.kill(pid, sent)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience
        while find():
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        else:
            return
    raise LocalCloudError(f"processes {', '.join(map(str, find()))} do not end; end them by hand: kill -9 PID")


def owner_of(port: int) -> str:
    """Who listens on a loopback port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                command = psutil.Process(connection.pid).cmdline()
                return f"process {connection.pid} ({shlex.join(command)[:60]})"
    except (psutil.Error, OSError):
        pass
    return "another process"
