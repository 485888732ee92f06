"""The record of a run: its statuses, the changes that may be made to it, and ``Run``, the record itself. Pure.

``Run.from_item`` and ``to_item`` are where stored attributes become a typed value and back. Attributes of a later
release are left out; those that an earlier release did not store have a default.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lnn.aws.clocks import moment
from lnn.errors import RunStateError
from lnn.job.class_metrics import ClassCounts, ClassMetrics
from lnn.job.pauses import Pause
from lnn.job.remarks import remarks_of_classes, remarks_of_numbers
from lnn.job.scores import OF_CLASSES, OF_NUMBERS
from lnn.messages import Message
from lnn.strategies.registry import STRATEGIES

if TYPE_CHECKING:
    from lnn.job.plan import Plan
    from lnn.models.checkpoint import EpochSoFar
    from lnn.network import Tally
    from lnn.runs.attributes import (
        Artifacts,
        Attempts,
        Attributes,
        CheckpointPointer,
        Dataset,
        Dimensions,
        Disturbances,
        EndedModel,
        Estimate,
        Event,
        Facts,
        Fault,
        ParametersFile,
        Paused,
        Progressed,
        Status,
        Use,
        WorkerSeconds,
    )

GOING: Sequence[Status] = ("PENDING", "RUNNING")
"""Statuses of a run that has not ended."""

ENDED: Sequence[Status] = ("COMPLETED", "FAILED", "STOPPED")

Change = Literal[
    "describe",
    "wait",
    "claim",
    "renew",
    "pause",
    "allow_steps",
    "release",
    "finish",
    "close",
    "request_stop",
    "reopen",
    "note",
]
"""The changes of a run that the store offers, by the names of its methods."""


ALLOWED_IN: Mapping[Change, Sequence[Status]] = {
    "describe": ("PENDING",),
    "wait": GOING,
    "claim": GOING,
    "renew": ("RUNNING",),
    "pause": ("RUNNING",),
    "allow_steps": GOING,
    "release": ("RUNNING",),
    "finish": GOING,
    "close": ENDED,
    "request_stop": GOING,
    "reopen": ENDED,
    "note": (*GOING, *ENDED),
}
"""The statuses in which each change may be made: the condition of the write that makes it."""

LEADS_TO: Mapping[Change, Sequence[Status]] = {"claim": ("RUNNING",), "finish": ENDED, "reopen": ("PENDING",)}
"""The changes of the status itself. A run is opened as PENDING."""

JSON_TEXTS = ("settings", "plan")
"""Attributes that are stored as JSON text: a setting may be a number that DynamoDB cannot hold."""

FIELD_NAMES = {"artefacts": "artifacts"}
"""Fields whose attribute has another name, by that name."""


OF_UPDATES = ("learning_rate", "gradient_norm")
"""Figures of a row about its epoch's last update."""


def undisturbed() -> Disturbances:
    return {"takeovers": 0, "silent_seconds": 0.0, "repeated_epochs": 0}


class EpochRow(NamedTuple):
    """One row of the history: a tuple, since a training of short epochs makes thousands in a second."""

    epoch: int
    cost: float
    train_accuracy: float | None
    """Of this and the other scores of a row: those of ``train`` are of each batch's examples before its update."""
    test_accuracy: float | None
    seconds: float
    waited: float | None = None
    """Seconds in which the first worker has waited for the others since it began; None without workers. Not stored."""
    test_cost: float | None = None
    """Mean over the test examples, without L2's penalty; None in a run without a validation set."""
    validation_cost: float | None = None
    """As ``test_cost``."""
    validation_accuracy: float | None = None
    train_rmse: float | None = None
    train_mae: float | None = None
    train_r2: float | None = None
    validation_rmse: float | None = None
    validation_mae: float | None = None
    validation_r2: float | None = None
    test_rmse: float | None = None
    test_mae: float | None = None
    test_r2: float | None = None
    learning_rate: float | None = None
    """Of the epoch's last update; None in rows of releases that did not store it."""
    gradient_norm: float | None = None
    """Of the epoch's last batch, before its gradient was clipped; None where gradients are not, or it is not finite."""

    @classmethod
    def of(
        cls,
        plan: Plan,
        epoch: int,
        done: EpochSoFar,
        validation: Tally | None,
        gradient_norm: float | None,
        waited: float | None,
        test: Tally,
    ) -> EpochRow:
        """The row of a whole epoch, from the sums over the examples of each split, and its last update's figures."""
        figures: dict[str, Any] = {**plan.scores("train", done.seen), **plan.scores("test", test)}
        if plan.has_test_cost:
            figures["test_cost"] = _finite(test.cost / plan.test_examples)
        if validation is not None:
            figures["validation_cost"] = _finite(validation.cost / plan.validation_examples)
            figures.update(plan.scores("validation", validation))
        if gradient_norm is not None:
            figures["gradient_norm"] = _finite(gradient_norm)
        return cls(
            epoch,
            done.cost_sum / plan.examples,
            figures.pop("train_accuracy", None),
            figures.pop("test_accuracy", None),
            done.seconds,
            waited,
            learning_rate=plan.learning_rate_of(epoch),
            **figures,
        )


def _finite(figure: float) -> float | None:
    """A figure, unless it is too large for a number, as the cost of a model that is certain and wrong."""
    return figure if math.isfinite(figure) else None


def figures_of_updates(history: Sequence[EpochRow]) -> list[str]:
    """Those of ``OF_UPDATES`` that a history has."""
    return [name for name in OF_UPDATES if any(getattr(row, name) is not None for row in history)]


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it was when it was read. Moments are epoch seconds (UTC); a figure that is not known yet is None."""

    run_id: str
    status: Status
    reason: str | None = None
    """Why the run ended, where that is not obvious; or why it does not begin."""

    # The lease

    generation: int = 0
    """Number of the latest Trainer to claim the run, from 1; 0 before the first."""
    owner: str | None = None
    """A random name of the invocation that claimed it."""
    heartbeat: float | None = None
    """Last sign of life of the owner."""
    lease_expires: float | None = None
    """Moment from which the owner counts as dead; 0 where it has given the lease back."""
    attempts: Attempts | None = None
    """Generations that began at the present place in a row."""
    stop_requested: bool = False
    """A person asked the run to end, or the watch did."""
    stop_reason: str | None = None
    """Why the watch did."""
    steps_allowed: int = 0
    """Of a stepped run: the number of the last pause that it may pass. It never goes back."""
    paused: Paused | None = None
    """Of a stepped run: where it waits, or waited last; see ``is_paused``."""

    # The job

    dataset_key: str = ""
    dataset: Dataset | None = None
    parameters_file: ParametersFile | None = None
    """The version of ``parameters.json``, from the moment at which a Launch first decided on it."""
    dimensions: Dimensions | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """``parameters.json`` with its defaults filled in."""
    warnings: Sequence[str] = ()
    """Oddities of dataset and parameters that training can live with."""
    strategy: str | None = None
    strategy_reason: str | None = None
    workers: int | None = None
    estimate: Estimate | None = None
    epochs: int | None = None
    """Epochs to train."""
    plan: Mapping[str, Any] | None = None
    """As ``Plan.as_json`` makes it; see ``parsed_plan``."""

    # Progress and results

    epoch: int = 0
    """Epochs trained."""
    progressed: Progressed | None = None
    """How far the latest generation that noted its progress had come."""
    reached: int | None = None
    """Epochs that were trained before a generation went back to a checkpoint; see ``epochs_reached``."""
    cost: float | None = None
    """Of epoch ``epoch``."""
    checkpoint: CheckpointPointer | None = None
    """Where training goes on from; see ``latest_checkpoint``."""
    final_cost: float | None = None
    train_accuracy: float | None = None
    """Of this and the other scores: of the final model."""
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    train_rmse: float | None = None
    train_mae: float | None = None
    train_r2: float | None = None
    validation_rmse: float | None = None
    validation_mae: float | None = None
    validation_r2: float | None = None
    test_rmse: float | None = None
    test_mae: float | None = None
    test_r2: float | None = None
    best_epoch: int | None = None
    """The epoch whose validation cost is the lowest; the model's, unless the run keeps the last."""
    validation_cost: float | None = None
    """Of epoch ``best_epoch``."""
    test_classes: ClassCounts | None = None
    """Counts by class of the test examples, with the final model; see ``test_metrics``."""
    artifacts: Artifacts | None = None
    ended_model: EndedModel | None = None
    """Written with the end of the run; a release that did not store it wrote its model straight to ``artifacts``."""

    # Counters

    invocations: int = 0
    """Lambda invocations, without those of ``step_invocations``."""
    step_invocations: int = 0
    """Invocations that strategy ``neuron`` has counted in Redis; part of ``invocations`` once the run has ended."""
    usd: float | None = None
    """US dollars, estimated."""
    worker_seconds: Sequence[WorkerSeconds] = ()
    told_use: Use | None = None
    """The use that earlier ends have put into the metrics."""

    # What happened

    fault: Fault | None = None
    """Why a generation gave up, for the event log of the next."""
    disturbances: Disturbances = field(default_factory=undisturbed)
    events: Sequence[Event] = ()

    # Moments and durations

    upload_started_at: float | None = None
    """By the clock of the machine that uploaded."""
    created_at: float = 0.0
    launched_at: float | None = None
    """Launch was done."""
    training_started_at: float | None = None
    """The first epoch began."""
    training_ended_at: float | None = None
    """The last epoch ended."""
    trained_seconds: float | None = None
    """Seconds of training, of all generations, each by its own clock."""
    training_seconds: float | None = None
    """``trained_seconds`` of a run that has a model."""
    model_written_at: float | None = None
    finished_at: float | None = None

    # The end

    ends: int = 0
    """How many times the run has ended: the number of its latest end. A resumed run ends again."""
    closing: bool = False
    """The run has ended, and what follows the end was not all carried out."""
    told: bool = False
    """People have had the message of the end."""
    watched: str | None = None
    """Present while the watch has to look at the run: the key of its index."""

    stored: Sequence[str] = ()
    """Names of the attributes that the item has, in its order."""

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> Run:
        """The run of an item's attributes, as ``dynamodb_items.plain`` reads them."""
        known = {FIELD_NAMES.get(name, name): value for name, value in item.items() if name in ATTRIBUTES}
        for name in JSON_TEXTS:
            if isinstance(known.get(name), str):
                known[name] = json.loads(known[name])
        return cls(**known, stored=tuple(item))

    def attribute(self, name: str) -> object:
        """The value of a stored attribute."""
        value: object = getattr(self, FIELD_NAMES.get(name, name))
        return value

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED

    def may_begin(self, generation: int) -> bool:
        """Whether a generation is the next, or one that has given the lease back."""
        mine = self.generation == generation and self.lease_expires == 0
        return not self.has_ended and self.is_prepared and (mine or self.generation == generation - 1)

    @property
    def is_stepped(self) -> bool:
        """Whether the run waits at each barrier for a person."""
        return bool(self.settings.get("step"))

    @property
    def records_invocations(self) -> bool:
        """Whether the run writes down each of its invocations: with ``snapshots: 0`` none does."""
        strategy = STRATEGIES.get(self.strategy or "")
        return strategy is not None and strategy.records_invocations and bool((self.plan or {}).get("timeline", True))

    @property
    def is_paused(self) -> bool:
        """Whether the run waits for a person just now: its present generation has come to a pause that it may not
        pass.
        """
        paused = self.paused
        if paused is None or self.status != "RUNNING" or self.stop_requested or not self.is_stepped:
            return False
        return paused["generation"] == self.generation and paused["number"] > self.steps_allowed

    @property
    def message_at_pause(self) -> Message | None:
        """What lets the Trainer look again at the step at which the run has paused; None where another generation has
        begun since. Sending it twice, or too early, is harmless.
        """
        paused = self.paused
        if paused is None or self.has_ended or paused["generation"] != self.generation:
            return None
        pause = Pause(paused["epoch"], paused["batch"], paused["after"], paused["layer"])
        return Message(self.run_id, self.generation, pause.direction, pause.epoch, pause.batch, pause.layer)

    @property
    def steps_passed(self) -> int:
        """The number of the last pause that the run has passed or may pass: the next step is one more."""
        return max(self.steps_allowed, self.paused["number"] - 1 if self.is_paused and self.paused else 0)

    @property
    def claim(self) -> str:
        """Name of the latest claim of the lease: a generation that gave it back may be claimed again."""
        return f"{self.generation}-{(self.owner or '')[:8]}"

    @property
    def is_unfinished(self) -> bool:
        """Whether the watch has to look at the run."""
        return not self.has_ended or self.closing

    @property
    def is_prepared(self) -> bool:
        """Whether Launch has done its part."""
        return self.checkpoint is not None

    @property
    def latest_checkpoint(self) -> CheckpointPointer:
        """The checkpoint from which training goes on. Raises RunStateError before Launch has stored the first."""
        if self.checkpoint is None:
            raise RunStateError(f"run {self.run_id} has no checkpoint: Launch has not prepared it")
        return self.checkpoint

    @property
    def parsed_plan(self) -> Plan:
        """What the run will do. Raises RunStateError before Launch has planned it."""
        from lnn.job.plan import Plan  # imports numpy, which the commands that only look at runs do without

        if self.plan is None:
            raise RunStateError(f"run {self.run_id} has no plan: Launch has not prepared it")
        return Plan.parse(self.plan)

    @property
    def network(self) -> str:
        """Features and the units of each layer, as people read them: ``12288-20-7-5-1``; empty while not known."""
        return "-".join(map(str, self.dimensions["sizes"])) if self.dimensions else ""

    @property
    def name(self) -> str | None:
        """What people call the run; None in runs of releases that knew no names."""
        name: str | None = self.settings.get("name")
        return name

    @property
    def tags(self) -> Sequence[str]:
        """Marks of the run."""
        tags: Sequence[str] = self.settings.get("tags", ())
        return tags

    @property
    def is_regression(self) -> bool:
        """Whether the model predicts numbers; False while that is not known."""
        return bool(self.dimensions and self.dimensions.get("targets"))

    @property
    def score_names(self) -> Sequence[str]:
        """Names of the scores that the run and its history have."""
        names = OF_NUMBERS if self.is_regression else OF_CLASSES
        return names if self.has_validation else [name for name in names if not name.startswith("validation")]

    @property
    def model_epoch(self) -> int:
        """The epoch whose parameters the model has."""
        kept = self.best_epoch if self.settings.get("keep") == "best" else None
        return self.epoch if kept is None else kept

    @property
    def cost_names(self) -> Sequence[str]:
        """Names of the costs that a row of the history has."""
        return ("cost", "validation_cost", "test_cost") if self.has_validation else ("cost",)

    @property
    def has_validation(self) -> bool:
        """Whether a part of the examples is held out to measure each epoch's model; False while that is not known."""
        return bool(self.dimensions and self.dimensions.get("validation_examples"))

    @property
    def test_metrics(self) -> ClassMetrics | None:
        """The figures by class of the final model; None in regression, and where a release did not store them."""
        if self.test_classes is None or self.dimensions is None:
            return None
        return ClassMetrics(self.dimensions["classes"], self.test_classes)

    def base_rate(self, split: str) -> float | None:
        """How often always the most frequent class of ``train``, ``validation`` or ``test`` is right, if known."""
        dimensions: Mapping[str, Any] = self.dimensions or {}
        counts = dimensions.get("class_counts", {}).get(split)
        if split == "test" and self.test_classes is not None:
            counts = self.test_classes["examples"]
        return max(counts) / sum(counts) if counts else None

    @property
    def remarks(self) -> Sequence[str]:
        """What people should know before they trust the final model, a line each; they follow from the record."""
        return self._remarks(self.plan)

    @property
    def remarks_of_model(self) -> Sequence[str]:
        """Those of the remarks that follow from the model alone, and not from its training."""
        return self._remarks(None)

    def _remarks(self, plan: Mapping[str, Any] | None) -> Sequence[str]:
        if self.is_regression:
            return remarks_of_numbers(self.train_r2, self.test_r2, plan)
        return remarks_of_classes(self.test_metrics, self.final_cost, plan)

    @property
    def epochs_reached(self) -> int:
        """The most epochs that any generation has trained. A stop waits until as many are trained again."""
        return max(self.epoch, self.reached or 0)

    def has_row(self, epoch: int) -> bool:
        """Whether a stored row of the history belongs to the run as it is now.

        Rows are written with no condition, since a row depends on run and epoch alone. So a generation that was
        superseded may leave rows past the end; a checkpoint, and a stop that was resumed, leave one between two
        recorded epochs. A run that ends between two batches has left its last whole epoch behind.
        """
        between_batches = self.checkpoint is not None and self.checkpoint.get("batches", 0) > 0
        if self.has_ended and epoch > self.epoch:
            return False
        if self.has_ended and epoch == self.epoch and not between_batches:
            return True
        return epoch % int(self.settings.get("record_every", 1)) == 0 or epoch == self.epochs

    @property
    def use(self) -> Use:
        return {"invocations": self.invocations + self.step_invocations, "usd": float(self.usd or 0.0)}

    def fault_of(self, generation: int) -> str | None:
        """Why a generation gave the run up, if it was the last to say so."""
        return self.fault["what"] if self.fault and self.fault["generation"] == generation else None

    def trained_before(self) -> float:
        """Seconds that earlier generations have trained; the next one begins now."""
        return float(self.trained_seconds or 0.0)

    def training_begins(self) -> Facts:
        """What a generation notes when it begins to train.

        The seconds are there from the first, so that the next one need not ask two machines' clocks for them.
        """
        return {"training_started_at": self.training_started_at or moment(), "trained_seconds": self.trained_before()}


ATTRIBUTES = frozenset(one.name for one in fields(Run)) - {"stored", *FIELD_NAMES.values()} | FIELD_NAMES.keys()
"""Names of all stored attributes."""


def to_item(changes: Facts | Attributes) -> dict[str, object]:
    """Attributes as they are stored: the reverse of ``Run.from_item``."""
    return {name: json.dumps(value) if name in JSON_TEXTS else value for name, value in changes.items()}
