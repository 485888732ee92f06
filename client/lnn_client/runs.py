"""What a run's record says: whether it has ended, how long it took, what it has cost."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from lnn.aws.clocks import seconds_between
from lnn.runs.attributes import Status, public_view
from lnn.runs.record import Run


class ScoresOfRun(TypedDict, total=False):
    """The scores of the final model: accuracies, or of regression the others; None while they are not known."""

    train_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    train_rmse: float | None
    train_mae: float | None
    train_r2: float | None
    validation_rmse: float | None
    validation_mae: float | None
    validation_r2: float | None
    test_rmse: float | None
    test_mae: float | None
    test_r2: float | None


class BesideAccuracy(TypedDict, total=False):
    """What stands beside the scores of a final model; absent in regression, and where a release did not store it."""

    accuracy_interval: Sequence[float]
    """Its bounds, of 95% confidence."""
    base_rate: float
    """The accuracy of always answering ``most_frequent``."""
    most_frequent: str
    beats_base_rate: bool
    balanced_accuracy: float
    by_class: Sequence[Mapping[str, Any]]
    """The fields of ``lnn.job.class_metrics.OfClass``."""
    remarks: Sequence[str]
    """What people should know before they trust the final model, a line each; absent where there is nothing."""


class Validated(TypedDict, total=False):
    """What the validation set says; absent in a run without one."""

    best_epoch: int | None
    """The epoch with the lowest validation cost."""
    validation_cost: float | None
    """Of that epoch."""


class Seconds(TypedDict):
    """How long a run took."""

    total: float | None
    """From the start of the upload to the moment the model exists."""
    training: float | None
    """From the first epoch's start to the last epoch's end."""


class Result(ScoresOfRun, BesideAccuracy, Validated):
    """A run's outcome as ``lnn train --json`` prints it."""

    run_id: str
    status: Status
    reason: str | None
    strategy: str | None
    workers: int | None
    epochs: int
    final_cost: float | None
    seconds: Seconds
    ms_per_epoch: float | None
    invocations: int
    model: str | None
    """Its ``s3://`` address."""


def has_been_launched(run: Run) -> bool:
    """Whether Launch has finished with the run: accepted it, with a strategy, or refused it."""
    return run.status != "PENDING" or bool(run.strategy)


def waiting(run: Run) -> str | None:
    """Why a run does not begin or go on; None where it does, or has ended."""
    if run.is_paused:
        return "waits for its next step"
    return None if run.has_ended else run.reason


def seconds_total(run: Run) -> float | None:
    """From the start of the upload to the moment the model exists."""
    return _between(run.upload_started_at, run.model_written_at)


def seconds_training(run: Run) -> float | None:
    """From the first epoch's start to the last epoch's end, by the clocks of those who trained."""
    if run.trained_seconds is not None and run.training_started_at and run.training_ended_at:
        return float(run.trained_seconds)
    return _between(run.training_started_at, run.training_ended_at)


def ms_per_epoch(run: Run) -> float | None:
    """Mean time of an epoch in milliseconds."""
    training = seconds_training(run)
    return training * 1000 / run.epoch if training is not None and run.epoch else None


def usd_so_far_and_left(run: Run) -> tuple[float, float] | None:
    """About what a run that goes on has cost in US dollars, and will still cost; None where nothing was estimated.

    `neuron` adds up what its functions use at every epoch; the others do so at checkpoints only, and the estimate from
    before they began fills the gap.
    """
    if run.estimate is None or not run.epochs:
        return None
    expected, used, done = run.estimate["usd"], float(run.usd or 0.0), run.epoch / run.epochs
    if run.strategy == "neuron" and done and used:
        return used, used / done * (1 - done)
    return max(used, done * expected), (1 - done) * expected


def beside_accuracy(run: Run) -> BesideAccuracy:
    """What stands beside the scores of the final model, as far as it is known."""
    metrics = run.test_metrics
    found = {} if metrics is None else metrics.as_json()
    return cast("BesideAccuracy", found | ({"remarks": run.remarks} if run.remarks else {}))


def as_shown(run: Run) -> dict[str, Any]:
    """A run as ``lnn show`` and ``lnn runs`` print it for programs; while it goes on, too, with all its invocations."""
    return {**public_view(run), "invocations": run.use["invocations"], **beside_accuracy(run)}


def validated(run: Run) -> Validated:
    """What the validation set says, as far as it is known."""
    return {"best_epoch": run.best_epoch, "validation_cost": run.validation_cost} if run.has_validation else {}


def result(run: Run) -> Result:
    return {
        "run_id": run.run_id,
        "status": run.status,
        "reason": run.reason,
        "strategy": run.strategy,
        "workers": run.workers,
        "epochs": run.epoch,
        "final_cost": run.final_cost,
        **validated(run),
        **cast("ScoresOfRun", {name: getattr(run, name) for name in run.score_names}),
        **beside_accuracy(run),
        "seconds": {"total": seconds_total(run), "training": seconds_training(run)},
        "ms_per_epoch": ms_per_epoch(run),
        "invocations": run.use["invocations"],
        "model": run.artifacts["params"] if run.artifacts else None,
    }


def _between(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else seconds_between(first, last)
