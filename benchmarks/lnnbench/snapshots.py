"""What it costs that a run can be looked at: the same trainings with ``snapshots`` 60 and 0, side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import comb
from pathlib import Path
from statistics import median
from typing import Any

from lnn.job.hyperparameters import SNAPSHOTS
from lnnbench.cloud import REPOSITORY, Cloud
from lnnbench.jobs import Job
from lnnbench.machine import await_quiet
from lnnbench.ways import Strategy

SETTINGS = (SNAPSHOTS, 0)
ROUNDS = 4
"""Pairs for each repeat of other sections: an invocation's time scatters more than the cost of recording it."""
CONFIDENCE, FEWEST_ROUNDS = 0.95, 6
"""Of the bounds of an overhead; with fewer rounds there are none."""
DIGITS = REPOSITORY / "examples" / "digits" / "datasets.h5"


@dataclass(frozen=True, slots=True)
class Pair:
    """One training, with its two settings in turn."""

    job: Job
    strategy: str
    epochs: int
    paces: dict[int, list[float]] = field(default_factory=lambda: {setting: [] for setting in SETTINGS})
    """Milliseconds an epoch of each sample, by ``snapshots``."""

    def measure(self, cloud: Cloud, scratch: Path, *, reverse: bool) -> None:
        """A sample of each setting. Raises BenchmarkError."""
        for setting in reversed(SETTINGS) if reverse else SETTINGS:
            self.paces[setting].append(self._pace(cloud, setting, scratch))

    def warm_up(self, cloud: Cloud, scratch: Path) -> None:
        replace(self, epochs=2)._pace(cloud, SNAPSHOTS, scratch)

    def facts(self) -> dict[str, Any]:
        """The section's row: medians, and the median of the ratios of the rounds with its confidence interval."""
        recorded, silent = (self.paces[setting] for setting in SETTINGS)
        ratios = [one / other for one, other in zip(recorded, silent, strict=True)]
        bounds = interval(ratios)
        return {
            "job": self.job.name,
            "strategy": self.strategy,
            "epochs": self.epochs,
            "ms": {str(setting): median(paces) for setting, paces in self.paces.items()},
            "samples": {str(setting): paces for setting, paces in self.paces.items()},
            "overhead_percent": (median(ratios) - 1) * 100,
            "interval_percent": None if bounds is None else [(bound - 1) * 100 for bound in bounds],
        }

    def _pace(self, cloud: Cloud, setting: int, scratch: Path) -> float:
        """The median epoch, without the first: what is done once in a run is no part of training's pace."""
        way = Strategy(cloud, self.job, self.strategy, self.epochs, changes={"snapshots": setting})
        sample = way.measure(scratch)
        rows = cloud.ledger.history(sample["run_id"])[1:]
        return median(row.seconds for row in rows) * 1000 if rows else float(sample["ms_per_epoch"])


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Bounds of the median with ``CONFIDENCE``, by the sign test; None where there are too few values."""
    if len(values) < FEWEST_ROUNDS:
        return None
    ordered, n = sorted(values), len(values)
    left_out, tail = 0, 0.0
    while left_out < n // 2:
        tail += comb(n, left_out) / 2**n
        if 2 * tail > 1 - CONFIDENCE:
            break
        left_out += 1
    return ordered[left_out - 1], ordered[n - left_out]


def digits_job() -> Job:
    """The handwritten digits of ``examples``, 64-16-10, full batch."""
    return Job("digits", "8x8 handwritten digits", DIGITS, 64, 1438, 359, [16, 10], "softmax", 0.1)


def pairs(cat: Job, *, quick: bool) -> list[Pair]:
    digits = digits_job()
    if quick:
        return [Pair(job, strategy, 2) for job in (cat, digits) for strategy in ("fused", "neuron")]
    return [
        *(Pair(cat, "fused", 2500), Pair(cat, "neuron", 10)),
        *(Pair(digits, "fused", 1000), Pair(digits, "neuron", 10)),
    ]


def overhead(
    cloud: Cloud, trainings: Iterable[Pair], rounds: int, scratch: Path, patience: float
) -> list[dict[str, Any]]:
    """A row for each training. Who comes first of a pair changes from round to round."""
    rows = []
    for pair in trainings:
        pair.warm_up(cloud, scratch)
        for number in range(rounds):
            await_quiet(patience)
            pair.measure(cloud, scratch, reverse=bool(number % 2))
        row = pair.facts()
        rows.append(row)
        print(f"  {pair.job.name + ', ' + pair.strategy:<36}{row['overhead_percent']:+12.2f} %", flush=True)
    return rows
