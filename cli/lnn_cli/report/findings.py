"""Everything that a report tells about a run, and what of it is not to be had any more."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lnn.data.in_memory import TEST_X, TEST_Y
from lnn.errors import LnnError
from lnn.job.plan import Plan
from lnn.models.evaluation import Evaluation, evaluate
from lnn.models.inference import column_of_values
from lnn.models.model_file import Model
from lnn.models.store import Artifacts
from lnn.models.validation import inspect_model
from lnn.names import params_key
from lnn_cli.ui.errors import CliError, explain
from lnn_client.cloud import Cloud, command
from lnn_client.runs import Run
from lnn_client.timeline import Timeline, timeline

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[Any]
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The test examples as the model sees them."""

    X: Array
    """(n, m_test), as the network takes them."""
    evaluation: Evaluation
    """As ``lnn evaluate`` makes it: every mistake, the worst first."""

    @property
    def confusion(self) -> NDArray[np.int64]:
        """How many examples of each class (rows) were taken for each (columns), (K, K)."""
        return np.array(self.evaluation.confusion, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a run; None and empty where ``missing`` says why."""

    run: Run
    history: list[dict[str, Any]]
    model: Model | None = None
    tested: Evaluated | None = None
    timeline: Timeline | None = None
    missing: list[str] = field(default_factory=list)


def gather(cloud: Cloud, run: Run) -> Findings:
    """Reads what there is. A run that has not ended, or whose data has expired, has a shorter report."""
    missing: list[str] = []

    def read(what: str, reading: Callable[[], _Found]) -> _Found | None:
        try:
            return reading()
        except Exception as error:  # noqa: BLE001 - whatever keeps one part from being read, the others are shown
            missing.append(f"{what}: {explain(error)}")
            return None

    model = read("no weights, confusion matrix and mistakes", lambda: model_of_run(cloud, run))
    tested = None
    if model is not None:
        tested = read("no confusion matrix and mistakes", lambda: evaluated(cloud, run, model))
    logged = read("no timeline", lambda: timeline(cloud.client("logs"), cloud.names, run))
    if (
        logged is not None
        and run.get("strategy") == "neuron"
        and all(one.role != "neuron" for one in logged.invocations)
    ):
        missing.append(
            "no neurons in the timeline: they log what they do at DEBUG, and the functions' level is higher; "
            'set log_level = "DEBUG" in Terraform to see them'
        )
    return Findings(run, cloud.ledger.history(run["run_id"]), model, tested, logged, missing)


def model_of_run(cloud: Cloud, run: Run) -> Model:
    """The trained model of a run.

    Raises:
        CliError: it has none (yet).
    """
    run_id, bucket = run["run_id"], cloud.names.bucket
    if not (run.get("artefacts") or {}).get("params"):
        raise CliError(f"run {run_id} is {run['status']} and has no model; pick another: {command('lnn runs')}")
    return inspect_model(cloud.s3.get_object(Bucket=bucket, Key=params_key(run_id))["Body"].read())


def evaluated(cloud: Cloud, run: Run, model: Model) -> Evaluated:
    """The run's test examples, as its model sees them.

    Raises:
        CliError: they have expired.
    """
    plan = Plan.parse(run["plan"])
    artifacts = Artifacts(cloud.s3, cloud.names.bucket)
    rows = np.empty((plan.test_examples, plan.sizes[0]))
    try:
        y = artifacts.get_tensor(run["run_id"], TEST_Y)
        for index, start in enumerate(range(0, plan.test_examples, plan.shard_rows)):
            for place, example in enumerate(artifacts.get_shard(run["run_id"], TEST_X, index), start=start):
                rows[place] = column_of_values(model, example)
    except LnnError as error:
        raise CliError(f"the test examples cannot be read: {error}") from error
    return Evaluated(rows.T, evaluate(model.list_classes, model.predict_proba(rows.T), y))
