"""The local cloud, and trainings on it with the ``lnn`` command, as a user starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
OWN_HOME = REPOSITORY / ".lnn" / "bench"
TRAIN_SECONDS = 900
FUNCTIONS = ("launch", "trainer", "neuron")


class BenchmarkError(Exception):
    """A measurement failed."""


@dataclass(frozen=True)
class Cloud:
    """A running local cloud."""

    home: Path

    def train(self, dataset: Path, parameters: Path, strategy: str, timeout: float = TRAIN_SECONDS) -> dict[str, Any]:
        """One training, from upload to model, as ``lnn train --wait --json`` prints it."""
        options = ["--parameters", str(parameters), "--strategy", strategy, "--wait", "--json"]
        return self.lnn("train", str(dataset), *options, timeout=timeout)  # type: ignore[no-any-return]

    def run(self, run_id: str) -> dict[str, Any]:
        """A run, as ``lnn show --json`` prints it."""
        return self.lnn("show", run_id, "--json")  # type: ignore[no-any-return]

    def costs(self, run_id: str) -> list[float]:
        """The cost of each epoch."""
        return [row["cost"] for row in self.lnn("history", run_id, "--json")]

    def lnn(self, *arguments: str, timeout: float = TRAIN_SECONDS) -> Any:
        """The JSON that a command of ``lnn`` prints. Raises BenchmarkError."""
        command = [str(Path(sys.executable).with_name("lnn")), *arguments]
        try:
            done = subprocess.run(
                command, env=environment(self.home), capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BenchmarkError(f"lnn {arguments[0]} took more than {timeout:.0f} s") from error
        if done.returncode:
            raise BenchmarkError(f"lnn {arguments[0]}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return json.loads(done.stdout)

    # The functions themselves

    @cached_property
    def description(self) -> dict[str, Any]:
        return json.loads((self.home / "cloud.json").read_text())  # type: ignore[no-any-return]

    @cached_property
    def lambda_client(self) -> Any:
        credentials = self.description["credentials"]
        return boto3.client(
            "lambda",
            endpoint_url=self.description["endpoint"],
            region_name=self.description["region"],
            aws_access_key_id=credentials["access_key_id"],
            aws_secret_access_key=credentials["secret_access_key"],
            config=Config(read_timeout=60, retries={"total_max_attempts": 1}, proxies={}, max_pool_connections=32),
        )

    @property
    def redis_port(self) -> int:
        return int(self.description["redis"]["port"])

    def function(self, name: str) -> str:
        return f"{self.description['prefix']}-{name}"

    def variables(self, name: str) -> dict[str, str]:
        """A function's environment."""
        found = self.lambda_client.get_function_configuration(FunctionName=self.function(name))
        return dict(found["Environment"]["Variables"])

    def configure(self, name: str, variables: Mapping[str, str]) -> None:
        """Changes a function's environment; its warm workers end."""
        function = self.function(name)
        self.lambda_client.update_function_configuration(
            FunctionName=function, Environment={"Variables": dict(variables)}
        )
        deadline = time.monotonic() + 30
        while self.lambda_client.get_function_configuration(FunctionName=function)["LastUpdateStatus"] != "Successful":
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
        return psutil.Process(json.loads((self.home / "emulator.pid").read_text())["pid"])

    def workers(self) -> dict[str, list[psutil.Process]]:
        """The processes that run each function."""
        found: dict[str, list[psutil.Process]] = {name: [] for name in FUNCTIONS}
        for process in self.emulator.children(recursive=True):
            try:
                command = " ".join(process.cmdline())
            except psutil.Error:
                continue
            for name in FUNCTIONS:
                if f"-{self.function(name)}-" in command:
                    found[name].append(process)
        return found

    @property
    def emulator_python(self) -> Path:
        """The functions' interpreter."""
        return Path(self.emulator.cmdline()[0])


@contextmanager
def local_cloud(home: Path | None) -> Iterator[Cloud]:
    """The running cloud of ``home``; without it one of the benchmark's own, on free ports, stopped at the end."""
    if home is not None:
        yield Cloud(home.absolute())
        return
    try:
        manage("up", OWN_HOME)
        yield Cloud(OWN_HOME)
    finally:
        manage("down", OWN_HOME)


def manage(command: str, home: Path) -> None:
    """Starts or stops a local cloud. Raises BenchmarkError."""
    done = subprocess.run(
        [sys.executable, "-m", "lnn_tools.local_cloud", command],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"local cloud: {command} failed: {(done.stderr or done.stdout).strip()}")


def environment(home: Path) -> dict[str, str]:
    """Our environment with the cloud's home, and free ports for the benchmark's own cloud."""
    chosen = {"LNN_HOME": str(home), "LNN_TARGET": "local"}
    if home == OWN_HOME:
        chosen |= {"LNN_EMULATOR_PORT": "0", "LNN_REDIS_PORT": "0"}
    return {name: value for name, value in os.environ.items() if name != "LNN_PREFIX"} | chosen
