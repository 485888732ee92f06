"""The local cloud with the suite between its parts: proxies, a Redis of its own, and a layer in the functions."""

from __future__ import annotations

import io
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import redis

from chaos.aws_proxy import AwsProxy
from chaos.redis_server import RedisServer
from chaos.tcp_proxy import LOOPBACK, TcpProxy
from lnn.models.store import Artifacts
from lnn.serving.registry import Registry
from support.e2e_cloud import CloudUnderTest, Message

LAYER = Path(__file__).resolve().parent / "layer"
LAYER_NAME = "lnn-chaos"
ROLES = "launch", "trainer", "neuron", "register"
MEETING_PLACES = "armed", "struck", "paced", "clocks", "repeated", "sent", "busy"


@dataclass
class ChaosCloud(CloudUnderTest):
    """A local cloud that can be disturbed."""

    def __post_init__(self) -> None:
        self.folder = self.home / "chaos"
        """Where the suite and its layer meet (see ``layer/lnn_chaos.py``)."""
        self._receiving = threading.Lock()

    @contextmanager
    def disturbable(self) -> Iterator[None]:
        """Attach everything to the functions, and take it away again."""
        with ExitStack() as undo:
            shutil.rmtree(self.folder, ignore_errors=True)
            for place in MEETING_PLACES:
                (self.folder / place).mkdir(parents=True, exist_ok=True)
            self.server = RedisServer(self.folder / "redis")
            undo.callback(self.server.kill)
            self.network = TcpProxy(self.server.port)
            undo.callback(self.network.close)
            self.aws = AwsProxy(int(urlsplit(self.description["endpoint"]).port or 80))
            undo.callback(self.aws.close)
            self._attach(undo)
            undo.callback(self.thaw_all)
            self.subscribe()
            yield

    @cached_property
    def redis(self) -> redis.Redis:
        return self.server.client

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.client("dynamodb"), self.names.models_table)

    @cached_property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.s3, self.names.bucket)

    def _attach(self, undo: ExitStack) -> None:
        version = self.functions.publish_layer_version(LayerName=LAYER_NAME, Content={"ZipFile": _layer()})
        undo.callback(self.functions.delete_layer_version, LayerName=LAYER_NAME, VersionNumber=version["Version"])
        endpoint = f"http://{LOOPBACK}:{self.aws.port}"
        ours = {f"AWS_ENDPOINT_URL_{service}": endpoint for service in ("S3", "DYNAMODB", "SNS")}
        ours |= {"LNN_CACHE_PORT": str(self.network.port), "LNN_CACHE_TLS": "false", "LNN_CACHE_USER": ""}
        ours |= {"LNN_CHAOS_FOLDER": str(self.folder)}
        for role in ROLES:
            name = self.names.function(role)
            was = self.functions.get_function_configuration(FunctionName=name)
            layers = [layer["Arn"] for layer in was["Layers"]]
            variables = was["Environment"]["Variables"]
            undo.callback(self._configure, name, Layers=layers, Environment={"Variables": variables})
            self._configure(
                name, Layers=[*layers, version["LayerVersionArn"]], Environment={"Variables": variables | ours}
            )

    def _configure(self, name: str, **settings: Any) -> None:
        self.functions.update_function_configuration(FunctionName=name, **settings)

    # Disturbing

    @contextmanager
    def time_limit(self, role: str, seconds: int) -> Iterator[None]:
        """A function has less time."""
        name = self.names.function(role)
        before = self.functions.get_function_configuration(FunctionName=name)["Timeout"]
        self._configure(name, Timeout=seconds)
        try:
            yield
        finally:
            self._configure(name, Timeout=before)

    @contextmanager
    def concurrency(self, role: str, limit: int) -> Iterator[None]:
        """A function may only run so many times at once."""
        name = self.names.function(role)
        self.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=limit)
        try:
            yield
        finally:
            self.functions.delete_function_concurrency(FunctionName=name)

    def arm(self, subject: str, role: str, point: str, action: str = "kill", passes: int = 0) -> Path:
        """Kill or freeze an invocation for ``subject`` at a point that its process has come by ``passes`` times before.

        Returns the file that will hold the process id of the one that was struck.
        """
        arm = f"{subject}--{role}--{point}--{action}"
        (self.folder / "armed" / arm).write_text(str(passes))
        return self.struck(arm)

    def struck(self, arm: str) -> Path:
        """The file that holds the process id of the one that was struck."""
        return self.folder / "struck" / arm

    def disarm(self, struck: Path) -> None:
        """Whoever comes by goes on."""
        (self.folder / "armed" / struck.name).unlink(missing_ok=True)

    def pace(self, subject: str, seconds: float) -> None:
        """Each epoch takes so much longer; 0: no longer."""
        self._note("paced", subject, seconds)

    def set_clocks(self, subject: str, seconds: float) -> None:
        """The clocks of a subject's functions are wrong by up to so much; 0: no longer."""
        self._note("clocks", subject, seconds)

    def _note(self, place: str, subject: str, seconds: float) -> None:
        note = self.folder / place / subject
        if seconds:
            fresh = note.with_name(f".{subject}")
            fresh.write_text(str(seconds))
            fresh.replace(note)
        else:
            note.unlink(missing_ok=True)

    def busy(self, role: str, subject: str) -> list[psutil.Process]:
        """The processes that work on ``subject`` at this moment."""
        found = []
        for note in (self.folder / "busy").iterdir():
            try:
                if note.read_text().startswith(f"{role} {subject} "):
                    found.append(psutil.Process(int(note.name)))
            except (FileNotFoundError, psutil.NoSuchProcess):
                continue
        return found

    def invocation_of(self, process: psutil.Process) -> str | None:
        """What a process works on: role, subject and id of its invocation."""
        try:
            note = (self.folder / "busy" / str(process.pid)).read_text()
        except FileNotFoundError:
            return None
        return note if process.is_running() else None

    def is_at_work(self, process: psutil.Process, invocation: str | None) -> bool:
        """Whether a process is still in an invocation, and in no later one."""
        return invocation is not None and self.invocation_of(process) == invocation

    def messages(self, run_id: str) -> list[Message]:
        with self._receiving:
            return super().messages(run_id)

    def thaw_all(self) -> None:
        """No process stays frozen."""
        for note in (self.folder / "busy").iterdir():
            with suppress(psutil.NoSuchProcess, ValueError):
                psutil.Process(int(note.name)).resume()


def _layer() -> bytes:
    """The layer's archive: a module, and a .pth file that imports it when the path is set up."""
    site_packages = f"python/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for source in LAYER.glob("*.py"):
            archive.write(source, f"{site_packages}/{source.name}")
            archive.writestr(f"{site_packages}/{source.stem}.pth", f"import {source.stem}\n")
    return buffer.getvalue()
