"""What a report says about a run, and which parts of it can no longer be read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from lnn.models.model_file import Model
from lnn.runs.record import EpochRow, Run
from lnn_cli.ui.errors import explain
from lnn_client.cloud import Cloud
from lnn_client.evaluations import RunEvaluation, evaluate_run
from lnn_client.invocations import NOT_RECORDED
from lnn_client.models import model_of_run
from lnn_client.timeline import Timeline, timeline

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a run; None and empty where ``missing`` says why."""

    run: Run
    history: list[EpochRow]
    model: Model | None = None
    tested: RunEvaluation | None = None
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

    model = read("no weights, evaluation and mistakes", lambda: model_of_run(cloud, run))
    tested = None
    if model is not None:
        tested = read("no evaluation and mistakes", lambda: evaluate_run(cloud, run, model))
    logged = read("no timeline", lambda: timeline(cloud, run))
    if logged is not None and run.strategy == "neuron" and all(one.role != "neuron" for one in logged.invocations):
        lost = "what the run has recorded of them is deleted, or it recorded none"
        missing.append(f"no neurons in the timeline: {lost if run.records_invocations else NOT_RECORDED}")
    elif logged is not None and logged.shown:
        missing.append(f"a part of the timeline; shown: {logged.shown}")
    return Findings(run, cloud.ledger.history(run.run_id), model, tested, logged, missing)
