"""The estimates of ``lnn estimate`` for the local cloud, compared with measurements."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lnnbench.cloud import Cloud
from lnnbench.jobs import Job
from lnnbench.ways import Strategy

Table = Sequence[Mapping[str, Any]]
"""A row for each strategy and number of workers."""


def compare(
    cloud: Cloud, job: Job, measured: Iterable[tuple[Strategy, Mapping[str, Any]]], scratch: Path
) -> list[dict[str, Any]]:
    """Estimated and measured seconds of training of each strategy of one job. Raises BenchmarkError."""
    rows = []
    tables: dict[int, Table] = {}
    for way, found in measured:
        if way.epochs not in tables:
            # The first estimate calibrates; the others use its calibration.
            tables[way.epochs] = estimate(cloud, job, way.epochs, scratch, calibrate=not tables)
        row = row_for(tables[way.epochs], found["strategy"], way.workers or 1)
        if row is not None:
            estimated, seconds = float(row["seconds"]["training"]), float(found["seconds_training"])
            rows.append(
                {
                    "job": job.name,
                    "way": way.name,
                    "epochs": way.epochs,
                    "estimated_seconds": estimated,
                    "measured_seconds": seconds,
                    "factor": estimated / seconds,
                }
            )
    return rows


def estimate(cloud: Cloud, job: Job, epochs: int, scratch: Path, *, calibrate: bool) -> Table:
    """The table of ``lnn estimate`` for ``epochs``, calibrated on this cloud if asked. Raises BenchmarkError."""
    parameters = job.write_parameters(scratch / "parameters.json", epochs)
    options = ["--parameters", str(parameters), "--json", "--target", "local", *(["--calibrate"] if calibrate else [])]
    return cloud.lnn("estimate", str(job.dataset), *options)["rows"]  # type: ignore[no-any-return]


def row_for(table: Table, strategy: str, workers: int) -> Mapping[str, Any] | None:
    """The estimate for a strategy and its workers."""
    return next((row for row in table if (row["strategy"], row["workers"]) == (strategy, workers)), None)
