"""The two jobs, and the ways to train them that are compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lnnbench.cloud import BenchmarkError, Cloud
from lnnbench.floor import Floor
from lnnbench.jobs import Job
from lnnbench.samples import by_name, rounds
from lnnbench.ways import EARLY_COSTS, EARLY_EPOCHS, NUMPY, SKLEARN, TORCH, Program, Strategy, Way

AGREEMENT = {"float64": 1e-6, "float32": 1e-3}
"""The relative difference of a cost that is allowed between ways that share no code."""

BASELINE = (
    "The baseline is the numpy loop without accuracies, the stricter one: LNN computes them in every epoch. For the "
    "marks it runs the code that the functions run, which every host can; what that costs has a table of its own. "
    "scikit-learn draws weights and batches of its own, and its time is that of the whole of `fit`."
)


@dataclass
class Comparison:
    """One job, and the ways to train it."""

    cloud: Cloud
    job: Job
    ways: list[Way]
    floors: Mapping[str, float]
    """The floor in milliseconds of an epoch, by the way's name"""
    results: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """Ways whose costs differ from the others'"""

    def measure(self, repeats: int, scratch: Path, patience: float) -> dict[str, Any]:
        """The job's section of the report."""
        self._warm_up(scratch)
        self.results = rounds(self.ways, repeats, scratch, patience)
        for result in self.results:
            if result["name"] in self.floors:
                result["floor_ms"] = self.floors[result["name"]]
        return {"job": self.job.facts(), "ways": self.results, "notes": [BASELINE, *self._agreement()]}

    def strategies(self) -> Iterator[tuple[Strategy, Mapping[str, Any]]]:
        """Each strategy with the job's own dtype, its medians, and the strategy that ran."""
        for way, result in zip(self.ways, self.results, strict=False):
            if isinstance(way, Strategy) and "median" in result and way.job.dtype == self.job.dtype:
                yield way, result["median"] | {"strategy": result["samples"][0]["strategy"]}

    def _warm_up(self, scratch: Path) -> None:
        for way in self.ways:
            if isinstance(way, Strategy):
                try:
                    Strategy(way.cloud, way.job, way.strategy, 2, way.workers).measure(scratch)
                except BenchmarkError:
                    continue  # it will fail again where failures are reported

    def _agreement(self) -> Iterator[str]:
        """Compares the costs of all ways that start from the same weights, and records those that differ."""
        costs = {
            (way.job.dtype, way.name): way.early_costs(found["samples"][0])
            for way in self.ways
            if (found := by_name(self.results, way.name)) and not way.name.startswith("sklearn")
        }
        for result in self.results:
            for sample in result.get("samples", []):
                sample.pop(EARLY_COSTS, None)
        for dtype in dict.fromkeys(dtype for dtype, _ in costs):
            base = costs.get((dtype, f"numpy, {dtype}"))
            if base is None:
                continue
            worst = 0.0
            for (of, name), own in costs.items():
                if of != dtype:
                    continue
                epoch = min(len(own), len(base))
                difference = abs(own[epoch - 1] / base[epoch - 1] - 1)
                if difference > AGREEMENT[dtype]:
                    self.problems.append(f"{name}: cost {own[epoch - 1]!r} at epoch {epoch}, not {base[epoch - 1]!r}")
                worst = max(worst, difference)
            yield (
                f"From equal weights all {dtype} ways reach the same costs, compared at epoch {EARLY_EPOCHS} or the "
                f"last before it: the largest relative difference is {worst:.0e}."
            )


def cat(cloud: Cloud, job: Job, floor: Floor, *, quick: bool) -> Comparison:
    """The cat job: all strategies, numpy, PyTorch and scikit-learn."""
    full, plain, neuron = (50, 20, 2) if quick else (2500, 1000, 15)
    single = replace(job, dtype="float32")
    ways: list[Way] = [
        Strategy(cloud, job, "auto", full),
        Program(job, *TORCH, full),
        Strategy(cloud, job, "resident", plain, 2),
        Program(job, *NUMPY, plain, same_code=True),
        Program(job, *NUMPY, plain),
        Strategy(cloud, single, "auto", full),
        Strategy(cloud, single, "resident", plain, 2),
        Program(single, *NUMPY, plain, same_code=True),
        Program(single, *NUMPY, plain),
        Strategy(cloud, job, "data", plain, 2),
        Program(job, *NUMPY, plain, accuracies=True),
        Program(job, *SKLEARN, plain),
        Program(single, *TORCH, plain),
        Strategy(cloud, job, "neuron", neuron),
    ]
    floors = {way.name: floor.one_process(way.job) for way in ways if isinstance(way, Program)}
    for own in (job, single):
        floors[f"auto, {own.dtype}"] = floor.in_example_space(own, full)
    return Comparison(cloud, job, ways, floors | parallel_floors(ways, floor))


def batches(cloud: Cloud, job: Job, floor: Floor, *, quick: bool) -> Comparison:
    """The mini-batch job: the strategies that can train it, numpy, PyTorch and scikit-learn."""
    epochs = 2 if quick else 24
    ways: list[Way] = [
        Strategy(cloud, job, "data", epochs, 2),
        Program(job, *NUMPY, epochs, same_code=True),
        Program(job, *NUMPY, epochs),
        Strategy(cloud, job, "fused", epochs),
        Program(job, *NUMPY, epochs, accuracies=True),
        Program(job, *TORCH, epochs),
        Program(job, *SKLEARN, epochs),
    ]
    floors = {way.name: floor.one_process(way.job) for way in ways}
    return Comparison(cloud, job, ways, floors | parallel_floors(ways, floor))


def table(cloud: Cloud, job: Job, floor: Floor, *, quick: bool) -> Comparison:
    """The job of many rows: the strategies that can train it, and PyTorch."""
    epochs = 2 if quick else 4
    ways: list[Way] = [
        Strategy(cloud, job, "fused", epochs),
        Program(job, *TORCH, epochs),
        Strategy(cloud, job, "data", epochs, 2),
        Program(job, *NUMPY, epochs),
    ]
    floors = {way.name: floor.one_process(way.job) for way in ways}
    return Comparison(cloud, job, ways, floors | parallel_floors(ways, floor))


def parallel_floors(ways: list[Way], floor: Floor) -> dict[str, float]:
    return {
        way.name: floor.workers(way.job, way.strategy, way.workers)
        for way in ways
        if isinstance(way, Strategy) and way.workers
    }
