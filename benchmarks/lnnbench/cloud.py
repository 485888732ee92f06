"""The local cloud, and trainings on it with the ``lnn`` command, as a user starts them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from lnn_client import cloud as client
from lnn_tools.errors import ToolError

REPOSITORY = client.repository()
TRAIN_SECONDS = 900
FUNCTIONS = ("launch", "trainer", "neuron")


class BenchmarkError(ToolError):
    """A measurement failed."""


class Cloud(client.Cloud):
    """The running local cloud that LNN_HOME names."""

    def trained(self, dataset: Path, parameters: Path, strategy: str, timeout: float = TRAIN_SECONDS) -> dict[str, Any]:
        """One training, from upload to model, as ``lnn train --wait --json`` prints it."""
        options = ["--parameters", str(parameters), "--strategy", strategy, "--wait", "--json"]
        return self.lnn("train", str(dataset), *options, timeout=timeout)  # type: ignore[no-any-return]

    def lnn(self, *arguments: str, timeout: float = TRAIN_SECONDS) -> Any:
        """The JSON that a command of ``lnn`` prints. Raises BenchmarkError."""
        return printed(f"lnn {arguments[0]}", [str(Path(sys.executable).with_name("lnn")), *arguments], timeout)

    # The functions themselves

    @property
    def redis_port(self) -> int:
        return int(client.local_description()["redis"]["port"])

    def variables(self, name: str) -> dict[str, str]:
        """A function's environment."""
        found = self.functions.get_function_configuration(FunctionName=self.names.function(name))
        return dict(found["Environment"]["Variables"])

    def configure(self, name: str, variables: Mapping[str, str]) -> None:
        """Changes a function's environment; its warm workers end."""
        function = self.names.function(name)
        self.functions.update_function_configuration(FunctionName=function, Environment={"Variables": dict(variables)})
        deadline = time.monotonic() + 30
        while self.functions.get_function_configuration(FunctionName=function)["LastUpdateStatus"] != "Successful":
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{function} is not ready 30 s after it was configured")
            time.sleep(0.1)

    def chill(self, *names: str) -> None:
        """Ends the warm workers of the named functions, or of all: the next call of each is a cold start."""
        for name in names or FUNCTIONS:
            self.configure(name, self.variables(name) | {"LNN_BENCH": str(time.time_ns())})

    @contextmanager
    def cache_at(self, port: int) -> Iterator[None]:
        """Connects Trainer and Neuron to Redis at another port of this machine."""
        before = {name: self.variables(name) for name in ("trainer", "neuron")}
        try:
            for name, variables in before.items():
                self.configure(name, variables | {"LNN_CACHE_PORT": str(port)})
            yield
        finally:
            for name, variables in before.items():
                self.configure(name, variables)

    @property
    def emulator(self) -> psutil.Process:
        """The emulator's process; the functions' workers are its children."""
        return psutil.Process(json.loads((client.local_home() / "emulator.pid").read_text())["pid"])

    def workers(self) -> dict[str, list[psutil.Process]]:
        """The processes that run each function."""
        found: dict[str, list[psutil.Process]] = {name: [] for name in FUNCTIONS}
        for process in self.emulator.children(recursive=True):
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            for name in FUNCTIONS:
                if f"-{self.names.function(name)}-" in command:
                    found[name].append(process)
        return found

    @property
    def emulator_python(self) -> Path:
        """The functions' interpreter."""
        return Path(self.emulator.cmdline()[0])


def printed(name: str, command: Sequence[str], timeout: float, **options: Any) -> Any:
    """The JSON that a program prints; ``name`` is for errors, ``options`` for the process. Raises BenchmarkError."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{name} took more than {timeout:.0f} s") from error
    if done.returncode:
        raise BenchmarkError(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout)


@contextmanager
def local_cloud(home: Path | None) -> Iterator[Cloud]:
    """The running cloud of ``home``; without it one of the benchmark's own, on free ports, stopped at the end."""
    os.environ |= {client.HOME_VARIABLE: str((home or REPOSITORY / ".lnn" / "bench").absolute()), "LNN_TARGET": "local"}
    os.environ.pop("LNN_PREFIX", None)
    # Where Python may not keep bytecode, every command compiles all of itself: no user's does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if home is not None:
        yield Cloud()
        return
    os.environ |= {"LNN_EMULATOR_PORT": "0", "LNN_REDIS_PORT": "0"}
    try:
        manage("up")
        yield Cloud()
    finally:
        manage("down")


def manage(command: str) -> None:
    """Starts or stops the local cloud. Raises BenchmarkError."""
    cloud = [sys.executable, "-m", "lnn_tools.local_cloud", command]
    done = subprocess.run(cloud, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"local cloud: {command} failed: {(done.stderr or done.stdout).strip()}")
