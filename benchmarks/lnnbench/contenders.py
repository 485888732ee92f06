"""What is compared: each contender trains a job in its own way and says how long that took.

A new one (a strategy, another library) is one more class with ``name``, ``what`` and ``measure``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lnn.network import init_parameters
from lnnbench.cloud import BenchmarkError, Cloud
from lnnbench.jobs import Job

SEED = 0


class Contender(Protocol):
    """One way to train."""

    @property
    def name(self) -> str: ...

    @property
    def what(self) -> str: ...

    @property
    def epochs(self) -> int: ...

    def prepare(self) -> None:
        """What comes before a sample and is no part of it."""
        ...

    def measure(self, job: Job, scratch: Path) -> dict[str, Any]:
        """Trains once. ``ms_per_epoch`` is always there; raises BenchmarkError."""
        ...


@dataclass(frozen=True)
class Strategy:
    """A strategy of LNN, through the whole local cloud."""

    cloud: Cloud
    strategy: str
    epochs: int
    cold: bool = False
    """Whether every function starts anew for each sample."""

    @property
    def name(self) -> str:
        return f"{self.strategy}, cold" if self.cold else self.strategy

    @property
    def what(self) -> str:
        state = "first run after the functions were deployed" if self.cold else "warm functions"
        return f"LNN on the local cloud, {state}"

    def prepare(self) -> None:
        if self.cold:
            self.cloud.restart()

    def measure(self, job: Job, scratch: Path) -> dict[str, Any]:
        parameters = job.write_parameters(scratch / "parameters.json", self.epochs, seed=SEED)
        outcome = self.cloud.train(job.dataset, parameters, self.strategy)
        if outcome["status"] != "COMPLETED":
            raise BenchmarkError(f"{self.name}: {outcome['status']}, {outcome['reason']}")
        return {
            "ms_per_epoch": outcome["ms_per_epoch"],
            "seconds_training": outcome["seconds"]["training"],
            "seconds_total": outcome["seconds"]["total"],
            "invocations": outcome["invocations"],
            "final_cost": outcome["final_cost"],
            "train_accuracy": outcome["train_accuracy"],
            "test_accuracy": outcome["test_accuracy"],
            "run_id": outcome["run_id"],
        }


@dataclass(frozen=True)
class Program:
    """A training loop in one process of its own: a module of this package that prints JSON."""

    name: str
    what: str
    module: str
    epochs: int

    def prepare(self) -> None:
        """Nothing: each sample is a process of its own."""

    def measure(self, job: Job, scratch: Path) -> dict[str, Any]:
        weights = scratch / "weights.npz"
        layers = init_parameters(job.sizes, job.activations, "auto", SEED, job.dtype)
        arrays: dict[str, Any] = {}
        for layer, (W, b) in enumerate(layers, start=1):
            arrays |= {f"W{layer}": W, f"b{layer}": b}
        np.savez(weights, **arrays)
        command: Sequence[str] = [
            *(sys.executable, "-m", f"lnnbench.{self.module}", str(job.dataset), str(weights)),
            *("--epochs", str(self.epochs), "--rate", str(job.learning_rate), "--dtype", job.dtype),
        ]
        folder = Path(__file__).resolve().parents[1]
        done = subprocess.run(
            command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=1800, check=False
        )
        if done.returncode:
            raise BenchmarkError(f"{self.name} failed: {done.stderr.strip()[-2000:]}")
        answer = json.loads(done.stdout)
        return {
            "ms_per_epoch": answer["ms_per_epoch"],
            "seconds_training": answer["seconds"],
            "final_cost": answer["cost"],
        }
