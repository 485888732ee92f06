"""The local cloud that is measured, and trainings on it through the ``lnn`` command, as a user starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
OWN_HOME = REPOSITORY / ".lnn" / "bench"
TRAIN_SECONDS = 1800


class BenchmarkError(Exception):
    """Something that is measured did not work."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running local cloud. One that is ``owned`` may be restarted, to be cold again."""

    home: Path
    owned: bool

    def train(self, dataset: Path, parameters: Path, strategy: str) -> dict[str, Any]:
        """One training, from upload to model; what ``lnn train --wait --json`` prints."""
        options = ["--parameters", str(parameters), "--strategy", strategy, "--wait", "--json"]
        return self._lnn("train", str(dataset), *options)  # type: ignore[no-any-return]

    def cost_at(self, run_id: str, epoch: int) -> float:
        """The run's cost of one epoch."""
        rows = self._lnn("history", run_id, "--json")
        return float(next(row["cost"] for row in rows if row["epoch"] == epoch))

    def restart(self) -> None:
        """Every function cold again."""
        manage("down", self.home)
        manage("up", self.home)

    def _lnn(self, *arguments: str) -> Any:
        command = [str(Path(sys.executable).with_name("lnn")), *arguments]
        done = subprocess.run(
            command, env=environment(self.home), capture_output=True, text=True, timeout=TRAIN_SECONDS, check=False
        )
        if done.returncode:
            raise BenchmarkError(f"lnn {arguments[0]} failed: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)


@contextmanager
def local_cloud(home: Path | None) -> Iterator[Cloud]:
    """The cloud of ``home``, which runs already; or one of our own on free ports, stopped at the end."""
    if home is not None:
        yield Cloud(home, owned=False)
        return
    try:
        manage("up", OWN_HOME)
        yield Cloud(OWN_HOME, owned=True)
    finally:
        manage("down", OWN_HOME)


def manage(command: str, home: Path) -> None:
    """Starts or stops a local cloud. Raises BenchmarkError."""
    script = REPOSITORY / "scripts" / "local_cloud.py"
    done = subprocess.run(
        [sys.executable, str(script), command], env=environment(home), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"local cloud: {command} failed: {(done.stderr or done.stdout).strip()}")


def environment(home: Path) -> dict[str, str]:
    """Ours, with the cloud's home; any free ports, so that nobody's running cloud is in the way."""
    chosen = {"LNN_HOME": str(home), "LNN_TARGET": "local"}
    if home == OWN_HOME:
        chosen |= {"LNN_EMULATOR_PORT": "0", "LNN_REDIS_PORT": "0"}
    return {name: value for name, value in os.environ.items() if name != "LNN_PREFIX"} | chosen
