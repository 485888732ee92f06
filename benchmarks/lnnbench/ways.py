"""The ways to train that are compared: a strategy on the local cloud, or a contender in a process of its own."""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from lnn.environment import architecture
from lnnbench.busy_time import BusyTime
from lnnbench.cloud import REPOSITORY, BenchmarkError, Cloud, printed
from lnnbench.jobs import Job

PROGRAM_SECONDS = 900

SAME_BITS: dict[str, dict[str, str]] = json.loads((REPOSITORY / "terraform" / "same_bits.json").read_text())
"""Of each architecture the variables of all functions, which name the code that every host can run."""

CHOSEN_BY_PROCESSOR = {name for variables in SAME_BITS.values() for name in variables} - {"OPENBLAS_NUM_THREADS"}

EARLY_COSTS, EARLY_EPOCHS = "early_costs", 200
"""The first epochs, in which all ways must reach the same costs. Later, rounding errors of a rough training grow."""


@dataclass(frozen=True)
class Strategy:
    """A strategy of LNN on the local cloud, with warm functions."""

    cloud: Cloud
    job: Job
    strategy: str
    epochs: int
    workers: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Other settings of its parameters.json."""
    what = "LNN, through the whole local cloud"

    @property
    def name(self) -> str:
        workers = f", {self.workers} worker{'s' * (self.workers > 1)}" if self.workers else ""
        return f"{self.strategy}{workers}, {self.job.dtype}"

    def measure(self, scratch: Path) -> dict[str, Any]:
        """Trains once. Raises BenchmarkError."""
        changes = {**self.changes, **({"workers": self.workers} if self.workers else {})}
        parameters = self.job.write_parameters(scratch / "parameters.json", self.epochs, **changes)
        with BusyTime(self.cloud.emulator) as emulator:
            began = time.perf_counter()
            outcome = self.cloud.trained(self.job.dataset, parameters, self.strategy)
            command = time.perf_counter() - began
        if outcome["status"] != "COMPLETED":
            raise BenchmarkError(f"{self.name}: {outcome['status']}, {outcome['reason']}")
        used = (self.strategy, self.workers) if self.workers else (self.strategy, outcome["workers"])
        if self.strategy != "auto" and (outcome["strategy"], outcome["workers"]) != used:
            raise BenchmarkError(f"{self.name}: ran as {outcome['strategy']} with {outcome['workers']} workers")
        return {
            "ms_per_epoch": outcome["ms_per_epoch"],
            "seconds_training": outcome["seconds"]["training"],
            "seconds_total": outcome["seconds"]["total"],
            "seconds_command": command,
            "invocations": outcome["invocations"],
            "final_cost": outcome["final_cost"],
            "train_accuracy": outcome["train_accuracy"],
            "test_accuracy": outcome["test_accuracy"],
            "strategy": outcome["strategy"],
            "run_id": outcome["run_id"],
        } | self._shares(outcome, emulator)

    def early_costs(self, sample: Mapping[str, Any]) -> list[float]:
        """The costs of the first epochs of a measured training."""
        return [row.cost for row in self.cloud.ledger.history(sample["run_id"])[:EARLY_EPOCHS]]

    def _shares(self, outcome: dict[str, Any], emulator: BusyTime) -> dict[str, float]:
        """An epoch's time in the emulator itself, and beyond the computing of the slowest worker."""
        run = self.cloud.find_run(outcome["run_id"])
        busy = emulator.seconds(float(run.training_started_at or 0), float(run.training_ended_at or 0))
        shares = {"emulator_ms_per_epoch": busy * 1000 / self.epochs}
        if outcome["workers"] > 1 and run.worker_seconds:  # not for ``neuron``, whose workers do not stay
            computing = max(worker["computing"] for worker in run.worker_seconds) * 1000 / self.epochs
            waiting = outcome["ms_per_epoch"] - computing
            shares |= {"computing_ms_per_epoch": computing, "synchronization_ms_per_step": waiting / self.job.steps}
        return shares


@dataclass(frozen=True)
class Program:
    """A module of ``contenders``, in a process of its own, on all cores."""

    job: Job
    module: str
    what: str
    epochs: int
    accuracies: bool = False
    same_code: bool = False
    """It runs the code that the functions run, not what its libraries would choose for this processor."""

    @property
    def name(self) -> str:
        with_accuracies = " with accuracies" if self.accuracies else ""
        with_code = " with the functions' code" if self.same_code else ""
        return f"{self.module.removesuffix('_loop')}{with_accuracies}{with_code}, {self.job.dtype}"

    def measure(self, scratch: Path) -> dict[str, Any]:
        job = self.job
        start = job.write_start(scratch / "start.npz", self.epochs)
        command = [
            *(sys.executable, "-m", f"lnnbench.contenders.{self.module}", str(job.dataset), str(start)),
            *("--epochs", str(self.epochs), "--rate", str(job.learning_rate), "--dtype", job.dtype),
            *(["--batch-size", str(job.batch_size)] if job.batch_size else []),
            *(["--accuracies"] if self.accuracies else []),
        ]
        # The libraries choose their number of threads: one for each core.
        chosen = SAME_BITS[architecture()] if self.same_code else {}
        environment = {
            name: value for name, value in (os.environ | chosen).items() if not name.endswith("_NUM_THREADS")
        }
        folder = Path(__file__).resolve().parents[1]
        answer = printed(self.name, command, PROGRAM_SECONDS, cwd=folder, env=environment)
        return {
            "ms_per_epoch": answer["ms_per_epoch"],
            "seconds_training": answer["seconds"],
            "final_cost": answer["costs"][-1],
            EARLY_COSTS: answer["costs"][:EARLY_EPOCHS],
            "train_accuracy": answer["train_accuracy"],
            "test_accuracy": answer["test_accuracy"],
        }

    def early_costs(self, sample: Mapping[str, Any]) -> list[float]:
        return list(sample[EARLY_COSTS])


Way: TypeAlias = Strategy | Program

NUMPY = ("numpy_loop", "a plain numpy loop in one process, all cores")
TORCH = ("torch_loop", "PyTorch on the CPU in one process, all cores")
SKLEARN = ("sklearn_loop", "scikit-learn's MLPClassifier in one process, all cores")
