"""The attributes of a run in the runs table: their names and types, and which of them people see.

The names are those that the table stores. Functions need this module for type checks alone; they read a run with
``record``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict, cast

from lnn.job.scores import FinalScores

if TYPE_CHECKING:
    from lnn.job.pauses import After
    from lnn.runs.record import Run

Status = Literal["PENDING", "RUNNING", "COMPLETED", "FAILED", "STOPPED"]


class Event(TypedDict):
    """One entry of a run's event log."""

    at: float
    """Epoch seconds."""
    what: str
    generation: NotRequired[int]
    why: NotRequired[str]
    """The fault that made the generation take over."""
    silent_seconds: NotRequired[float]
    """Since the last sign of life of the generation before."""
    repeated_epochs: NotRequired[int]
    """Epochs that are trained again."""
    left_out: NotRequired[int]
    """Events that this one stands for."""


class CheckpointPointer(TypedDict):
    """Where a run goes on from: the state after ``epoch`` epochs and ``batches`` batches of the next."""

    epoch: int
    batches: NotRequired[int]
    """Absent for 0 in the first checkpoint of a run."""
    key: str
    """In the bucket."""
    cost: NotRequired[float | None]
    """Of epoch ``epoch``; absent where an earlier release stored the checkpoint."""


class Progressed(TypedDict):
    """How far a generation has noted its progress."""

    generation: int
    epoch: int


class Dataset(TypedDict):
    """The upload that opened a run."""

    bucket: str
    key: str
    version_id: str | None
    etag: str
    sequencer: NotRequired[str]
    event_time: NotRequired[str]


class ParametersFile(TypedDict):
    """The version of ``parameters.json`` that a run is trained with."""

    version_id: str | None
    """None in a bucket without versions."""
    etag: str | None
    """None where the client that uploaded the dataset named the version."""


class Dimensions(TypedDict):
    """Sizes of a run's dataset and network."""

    features: int
    examples: int
    test_examples: int
    validation_examples: NotRequired[int]
    """Absent in a run without a validation set."""
    classes: list[str]
    """Names of the classes, in index order; none in regression."""
    class_counts: NotRequired[Mapping[str, Sequence[int]]]
    """Examples of each class in ``train``, ``test`` and, where there is one, ``validation``; absent in regression."""
    targets: NotRequired[list[str]]
    """Names of the numbers that are predicted; absent in classification."""
    sizes: list[int]
    """Features, then the units of each layer."""


class Estimate(TypedDict):
    """What a run was expected to take on AWS."""

    seconds: float
    usd: float


class Attempts(TypedDict):
    """How many generations have begun at one place."""

    epoch: int
    batches: NotRequired[int]
    count: int
    arrivals: NotRequired[int]
    """Of strategy ``neuron``: how often neurons of the run had arrived when the latest of them began."""
    pause: NotRequired[int]
    """Of a stepped run: the number of the latest pause."""
    failing_since: NotRequired[float]
    """Epoch seconds since the first of them that told a fault, or the last that had no capacity after it; absent where
    none told a fault."""
    starved_since: NotRequired[float]
    """Epoch seconds since which no generation has had the capacity that it needs."""


class Paused(TypedDict):
    """Where a stepped run waits for a person, or did last: the fields of a ``Pause``, and more."""

    number: int
    """Of the pause, from 1."""
    generation: int
    since: float
    """Epoch seconds."""
    epoch: int
    batch: int
    after: After
    layer: int
    cost: NotRequired[float]
    """Of the batch, once it is known."""


class Disturbances(TypedDict):
    """Sums over a run's whole life; the event log may have left out their events."""

    takeovers: int
    silent_seconds: float
    """Nobody worked on the run."""
    repeated_epochs: int
    """Trained again from a checkpoint."""


class Fault(TypedDict):
    """Why a generation gave the run up."""

    generation: int
    what: str
    starved: NotRequired[bool]
    """It had not the capacity to begin, which is no fault of its own."""


class Artifacts(TypedDict):
    """``s3://`` addresses of what a run has made."""

    params: str
    results: NotRequired[str]


class EndedModel(TypedDict):
    """The model that a run has ended with, as its end was written: what is published, and what Register accepts."""

    key: str
    """In the bucket; no other end of any run has the same."""
    sha256: str
    """Of the file's content."""
    stored_at: float
    """Epoch seconds, by the clock of the services (``lnn.aws.clocks.moment``)."""


class WorkerSeconds(TypedDict):
    """How one worker spent the last generation, in seconds."""

    computing: float
    waiting: float
    """For the other workers."""


class Use(TypedDict):
    """What a run has used so far."""

    invocations: int
    usd: float


class PublicFacts(FinalScores, total=False):
    """What Launch and the strategies find out about a run, and people see. ``Run`` explains each attribute."""

    dataset: Dataset
    dimensions: Dimensions
    settings: Mapping[str, Any]
    warnings: Sequence[str]
    strategy: str
    strategy_reason: str
    workers: int
    estimate: Estimate
    epochs: int
    epoch: int
    cost: float | None
    checkpoint: CheckpointPointer
    final_cost: float | None
    best_epoch: int
    validation_cost: float
    artefacts: Artifacts
    invocations: int
    step_invocations: int
    usd: float
    worker_seconds: Sequence[WorkerSeconds]
    disturbances: Disturbances
    upload_started_at: float | None
    launched_at: float
    training_started_at: float | None
    training_ended_at: float
    trained_seconds: float
    training_seconds: float | None
    model_written_at: float


class Facts(PublicFacts, total=False):
    """All that Launch and the strategies find out about a run: what they may write."""

    dataset_key: str
    plan: Mapping[str, Any]
    attempts: Attempts | None
    ended_model: EndedModel
    parameters_file: ParametersFile
    reached: int | None


class PublicRun(PublicFacts, total=False):
    """A run as ``lnn show --json`` prints it; an attribute that is not stored is absent."""

    run_id: str
    status: Status
    reason: str | None
    paused: Paused
    steps_allowed: int
    generation: int
    fault: Fault | None
    events: Sequence[Event]
    created_at: float
    finished_at: float | None


class Attributes(PublicRun, Facts, total=False):
    """All attributes of a run. Those that are not among the ``Facts`` are written by the store alone."""

    owner: str
    heartbeat: float
    lease_expires: float
    stop_requested: bool
    stop_reason: str | None
    ends: int
    closing: bool
    told: bool
    told_use: Use
    watched: str
    progressed: Progressed


def public_view(run: Run) -> PublicRun:
    """The stored attributes that people see, in the order in which they are stored."""
    shown = {name: run.attribute(name) for name in run.stored if name in PublicRun.__annotations__}
    return cast("PublicRun", shown)
