"""The growth of an epoch's time with examples, features, neurons, workers, and the round trip to Redis.

Full batch, float64, features-units-10. One size varies at a time; the others have their value in MIDDLE.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

from lnnbench.cloud import BenchmarkError, Cloud
from lnnbench.estimates import Table, estimate, row_for
from lnnbench.floor import Floor, flops
from lnnbench.jobs import Job, synthetic_job
from lnnbench.rates import round_trip, slower_redis
from lnnbench.ways import NUMPY, Program, Strategy, Way

Point: TypeAlias = tuple[dict[str, Any], Way]
"""The facts of a measurement, and the way that is measured."""

MIDDLE = {"examples": 1000, "features": 1024, "units": 64}
AXES = {
    "examples": [125, 500, 2000, 8000],
    "features": [128, 512, 2048, 8192],
    "units": [8, 32, 128, 512],
}
WORKERS = [1, 2, 4]
SLOWED = [0.0005, 0.002]
"""Seconds of a round trip to Redis, measured besides the machine's own."""

PASSES = 2
"""Samples of each point."""

CLASSES, TEST_EXAMPLES = 10, 200
SECONDS, FEWEST, MOST = 1.0, 30, 300
"""The approximate time of a training, and the bounds of its number of epochs."""


def sizes(cloud: Cloud, floor: Floor, scratch: Path, *, quick: bool) -> list[dict[str, Any]]:
    """Epoch times over examples, features and units, for each strategy and the numpy loop."""
    points: list[Point] = []
    for axis, values in AXES.items():
        for value in values[:1] if quick else values:
            job = middle(scratch, **{axis: value})
            epochs = epochs_of(job, floor)
            ways: dict[str, Way] = {
                "fused": Strategy(cloud, job, "fused", epochs),
                "resident, 2 workers": Strategy(cloud, job, "resident", epochs, 2),
                "data, 2 workers": Strategy(cloud, job, "data", epochs, 2),
                "numpy": Program(job, *NUMPY, epochs),
            }
            about = {"axis": axis, "value": value, "floor_ms": floor.one_process(job)}
            points += [(about | {"way": name}, way) for name, way in ways.items()]
    return measured(points, scratch, quick=quick)


def workers(cloud: Cloud, floor: Floor, scratch: Path, *, quick: bool) -> list[dict[str, Any]]:
    """Epoch times of the parallel strategies over workers, at several round-trip times."""
    job = middle(scratch)
    epochs = epochs_of(job, floor)
    rows: list[dict[str, Any]] = []
    for wanted in [None, *(SLOWED[-1:] if quick else SLOWED)]:
        with redis_at(cloud, wanted) as trip:
            table = expectations(cloud, job, epochs, scratch)
            points: list[Point] = []
            for count in WORKERS[:2] if quick else WORKERS:
                for strategy in ("resident", "data"):
                    about = {"strategy": strategy, "workers": count, "round_trip_ms": trip * 1000}
                    about["floor_ms"] = floor.workers(job, strategy, count, trip)
                    if row := row_for(table, strategy, count):
                        about["estimated_ms"] = float(row["ms_per_epoch"])
                    points.append((about, Strategy(cloud, job, strategy, epochs, count)))
            rows += measured(points, scratch, quick=quick)
    return rows


def measured(points: Sequence[Point], scratch: Path, *, quick: bool) -> list[dict[str, Any]]:
    """The points, each with the median time of an epoch over some passes, or with its error."""
    rows = [about | {"epochs": way.epochs} for about, way in points]
    samples: list[list[float]] = [[] for _ in points]
    for _ in range(1 if quick else PASSES):
        for row, found, (_, way) in zip(rows, samples, points, strict=True):
            if "error" in row:
                continue
            try:
                found.append(way.measure(scratch)["ms_per_epoch"])
            except BenchmarkError as error:
                row["error"] = str(error)
                print(f"  {way.name:<32}failed: {error}", flush=True)
                continue
            size = f"{way.job.examples} examples, {'-'.join(map(str, way.job.sizes))}"
            print(f"  {way.name:<32}{size:<40}{found[-1]:10.2f} ms an epoch", flush=True)
    for row, found in zip(rows, samples, strict=True):
        if found:
            row |= {"ms_per_epoch": median(found), "samples": found}
    return rows


def expectations(cloud: Cloud, job: Job, epochs: int, scratch: Path) -> Table:
    """The cost model's estimates, calibrated at this distance from Redis; empty if there are none."""
    try:
        return estimate(cloud, job, epochs, scratch, calibrate=True)
    except BenchmarkError as error:
        print(f"  no estimate: {error}", flush=True)
        return []


@contextmanager
def redis_at(cloud: Cloud, wanted: float | None) -> Iterator[float]:
    """Connects the functions to Redis, directly or with slower round trips; yields the seconds of an exchange."""
    if wanted is None:
        yield round_trip(cloud.redis_port)
        return
    with slower_redis(cloud.redis_port, wanted) as (port, found), cloud.cache_at(port):
        yield found


def middle(scratch: Path, **changes: int) -> Job:
    """The job of MIDDLE's sizes, with changes."""
    size = MIDDLE | changes
    return synthetic_job(
        scratch,
        "growth",
        size["examples"],
        size["features"],
        [size["units"], CLASSES],
        test_examples=TEST_EXAMPLES,
        learning_rate=0.05,
    )


def epochs_of(job: Job, floor: Floor) -> int:
    """The number of epochs for a training of about SECONDS, at a quarter of the machine's rate of matrix products."""
    epoch = 4 * sum(flops(job)) / floor.gemm["all"][job.dtype]
    return int(min(MOST, max(FEWEST, SECONDS / epoch)))
