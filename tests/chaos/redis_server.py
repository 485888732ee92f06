"""A Redis of the suite's own, to be killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import redis

from lnn_tools.local_cloud.tools import redis_server
from support.e2e_cloud import eventually

LOOPBACK = "127.0.0.1"


class RedisServer:
    """One server on one port, whatever happens to its process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._binary = redis_server()
        with socket.create_server((LOOPBACK, 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.client = redis.Redis(host=LOOPBACK, port=self.port, socket_timeout=10)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def _dump(self) -> Path:
        return self._folder / "dump.rdb"

    def start(self, snapshot: Path | None = None) -> None:
        """Start empty, or with what was in a snapshot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._dump.unlink(missing_ok=True)
        if snapshot is not None:
            shutil.copyfile(snapshot, self._dump)
        options = {"port": self.port, "bind": LOOPBACK, "save": "", "appendonly": "no", "dir": self._folder}
        command = [str(self._binary)] + [part for name, value in options.items() for part in (f"--{name}", str(value))]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self._answers, "Redis to start", seconds=10)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def snapshot(self) -> Path:
        """Write what Redis holds now to a file of its own."""
        self.client.save()
        kept = self._folder / "kept.rdb"
        shutil.copyfile(self._dump, kept)
        return kept

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False
