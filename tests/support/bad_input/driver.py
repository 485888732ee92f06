"""Bad input driven to its end: a deployment in each of two processes, and what every upload left behind.

The processes start nothing but the checks of datasets, so the memory that their children took is that of the checks.
"""

from __future__ import annotations

import multiprocessing
import re
import resource
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import redis
from moto import mock_aws

from lnn import launch
from lnn.data import dataset, inspection
from lnn.data.validation import examine_dataset
from lnn.runs.record import Run
from support.bad_input.cases import EITHER, VALID, Case
from support.garbage import collect_garbage_less_often
from support.inprocess_cloud import NAMES, REGION, InProcessCloud

PROCESSES = 2
CHECK_SECONDS = 10.0
"""In place of a minute: for the files on which the HDF5 library never comes back."""
HUNG_SECONDS = 60.0

NOT_FOR_READERS = re.compile(
    r"Traceback|\w(Error|Exception|Warning)\b|\bType[A-Z]\w+|<class|object at 0x|/tmp|"
    r"\b(h5py\.(?!File\()|(numpy|pydantic|lnn)\.)|\.py\b"
)
"""What no reader of a reason has any use for: the insides of Python. A line that mends a file may open it."""

ABOUT = re.compile(
    r"(datasets\.h5|parameters\.json|(train|test)_set_[xy]|list_classes|training diverged): |"
    r"[^:]{0,120}: (found|missing|unknown)"
)
"""A reason begins with what it is about, a file, a dataset in it or a key, and goes on with what is there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended, and what was left of it."""

    name: str
    status: str
    reason: str
    crash: str
    """The traceback of the function, if it crashed."""
    left: list[str]
    """Redis keys, temporary files, and objects of a run that has no model."""
    seconds: float
    mib: float
    """The largest amount of memory that the check of a dataset has taken so far, in this process's deployment."""


class Driver:
    """One deployment; a process has one."""

    current: Driver

    def __init__(self, redis_port: int, database: int, folder: Path) -> None:
        mock_aws().start()
        self.cloud = InProcessCloud(redis.Redis(port=redis_port, db=database), boto3.Session(region_name=REGION))
        self.folder = folder / f"temporary-{database}"
        self.folder.mkdir()
        tempfile.tempdir = str(self.folder)
        inspection.SECONDS = CHECK_SECONDS

    def drive(self, case: Case) -> Outcome:
        # A dataset that is right may as well be checked without a process.
        launch.inspect_dataset = examine_dataset if case.name.startswith("parameters") else dataset.inspect_dataset  # type: ignore[assignment]
        upload = self.cloud.upload(case.dataset, case.parameters)
        start = time.monotonic()
        run: Run | None = None
        crash = ""
        try:
            if self.cloud.launch(upload) == "launched":
                self.cloud.run_to_end(upload.run_id)
            run = self.cloud.run(upload.run_id)
        except Exception:  # noqa: BLE001 - whatever it is, the test tells of it
            crash = traceback.format_exc()
            self.cloud.queue.messages.clear()
        left = [f"Redis: {key!r}" for key in self.cloud.redis.scan_iter()]
        left += [f"file: {path.name}" for path in self.folder.iterdir()]
        if run is None or not run.is_prepared:
            left += [f"object: {key}" for key in self._objects(f"runs/{upload.run_id}/")]
        seconds, mib = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return Outcome(case.name, run.status if run else "NONE", (run and run.reason) or "", crash, left, seconds, mib)

    def _objects(self, prefix: str) -> Iterator[str]:
        listed = self.cloud.s3.list_objects_v2(Bucket=NAMES.bucket, Prefix=prefix)
        yield from (entry["Key"] for entry in listed.get("Contents", []))


def _begin(redis_port: int, databases: Any, folder: Path) -> None:
    Driver.current = Driver(redis_port, databases.get(), folder)
    collect_garbage_less_often()


def _drive(case: Case) -> Outcome:
    return Driver.current.drive(case)


def outcomes(redis_port: int, folder: Path, cases: Iterable[Case]) -> list[Outcome]:
    """What became of every case, with so many deployments side by side; TimeoutError for one that hangs."""
    context = multiprocessing.get_context("spawn")
    databases = context.Queue()
    for database in range(1, PROCESSES + 1):
        databases.put(database)
    with ProcessPoolExecutor(PROCESSES, context, _begin, (redis_port, databases, folder)) as pool:
        futures = [pool.submit(_drive, case) for case in cases]
        return [future.result(HUNG_SECONDS) for future in futures]


def faults(case: Case, outcome: Outcome) -> list[str]:
    """What is not as it should be."""
    found = [*outcome.left]
    reason = outcome.reason
    if outcome.crash:
        found.append(outcome.crash)
    elif VALID in case.expected:
        found += [] if outcome.status == "COMPLETED" else [f"{outcome.status}: {reason}"]
    elif outcome.status == "FAILED":
        found += [f"not in the reason: {part}" for part in case.expected if part not in reason and part != EITHER]
        if (
            not reason.isprintable()
            or not ABOUT.match(reason)
            or NOT_FOR_READERS.search(reason)
            or len(reason) > 20_000
        ):
            found.append("a reason that does not help")
    elif EITHER not in case.expected or (outcome.status, reason) == ("STOPPED", ""):
        found.append("no refusal")
    elif outcome.status not in {"COMPLETED", "STOPPED"}:
        found.append("no end")
    return [f"{case.name}: {fault} ({outcome.status}: {reason[:300]})" for fault in found]
