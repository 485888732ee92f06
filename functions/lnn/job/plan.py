"""The plan of a run. Launch makes it once; Trainer and Neuron need nothing else of the settings and the dataset.

A plan is plain JSON, so that neither has to import the settings model or the dataset reader.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self, cast

from lnn.job.class_metrics import as_class_counts
from lnn.job.scores import FinalScores, Scores
from lnn.network import (
    CROSS_ENTROPY,
    LINEAR,
    Clipping,
    Dropout,
    Loss,
    Masks,
    Network,
    Optimizer,
    Schedule,
    Tally,
    batch_slices,
    errors,
)
from lnn.network.batches import Batch
from lnn.network.dropout import Positions
from lnn.network.optimizers import BETA_1, BETA_2, EPSILON, MOMENTUM
from lnn.network.types import Labels

PLAIN, EXAMPLE_SPACE = "plain", "example_space"
"""Formulations of the mathematics of a run."""

Split = Literal["train", "validation", "test"]
"""Examples that are scored."""

WHOLE_UP_TO = 2
"""Workers of ``data`` among whom arrays are exchanged whole: with more it would be more bytes than in pieces."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's settings, the dimensions of its dataset, and the planner's decision."""

    sizes: list[int]
    """[n, units of layer 1, ..., units of layer L]."""
    activations: list[str]
    epochs: int
    batch_size: int | None
    learning_rate: float
    optimizer: str
    l2: float
    dtype: str
    seed: int
    threshold: float | None
    record_every: int
    checkpoint_seconds: float
    notify_every: int | None
    max_seconds: float | None
    max_usd: float | None
    examples: int
    test_examples: int
    list_classes: list[str]
    image_shape: list[int] | None
    scale: float
    strategy: str
    workers: int
    shard_rows: int
    """Examples in each stored shard of features; the last shard may have fewer."""
    formulation: str = PLAIN
    """Of strategy ``fused``: ``plain`` or ``example_space``, which gives the same history faster where it fits."""
    average_every: int | None = None
    """Of strategy ``data``: updates that a worker makes by itself before all average their parameters; None is none."""
    validation_examples: int = 0
    """Examples of the validation set; 0 where there is none."""
    patience: int | None = None
    """Epochs without a lower validation cost after which the run ends; None is no end."""
    min_delta: float = 0.0
    """How much lower than the lowest before a validation cost must be to count."""
    keep: Literal["best", "last"] = "last"
    """Which epoch's parameters become the model: those of the lowest validation cost, or the last."""
    value_range: list[float] | None = None
    """The stored values of black and white; see ``lnn.data.value_range``."""
    border: list[float] | None = None
    """Brightness of the training pictures' borders, mean and spread: see ``lnn.data.borders``."""
    preprocessed: bool = False
    """Whether the features were made of a table's columns; how is stored with the labels, since it may be large."""
    momentum: float = MOMENTUM
    beta1: float = BETA_1
    beta2: float = BETA_2
    epsilon: float = EPSILON
    weight_decay: float = 0.0
    """Of optimizer ``adamw``, which has it in place of ``l2``: see ``Optimizer.decay``."""
    schedule: dict[str, Any] | None = None
    """The fields of a ``Schedule``; None where every update has the learning rate."""
    loss: str = CROSS_ENTROPY
    """What training minimizes: cross-entropy, or of a linear output a name of ``REGRESSION_LOSSES``."""
    list_targets: list[str] = field(default_factory=list)
    """Names of the numbers that the model predicts; empty in classification."""
    variation: dict[Split, list[float]] = field(default_factory=dict)
    """Of each target ``lnn.network.variation_of`` the examples; empty in classification."""
    class_weight: list[float] = field(default_factory=list)
    """How much an example of each class counts in the cost; empty where all count alike."""
    weighted_examples: bool = False
    """Whether the training examples have weights in the cost of training, stored beside their labels."""
    clip_norm: float | None = None
    """The largest norm of a gradient: see ``Clipping``; None where gradients are not clipped."""
    dropout_rates: list[float] = field(default_factory=list)
    """Share of each hidden layer's outputs that training drops; empty where it drops none."""
    stepped: bool = False
    """Whether the run waits at each barrier for a person."""
    timeline: bool = True
    """Whether a run whose strategy can records its invocations."""

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Self:
        """The inverse of ``as_json``."""
        return cls(**raw)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def layers(self) -> int:
        return len(self.sizes) - 1

    @property
    def targets(self) -> int:
        """Numbers that the model predicts; 0 in classification."""
        return self.sizes[-1] if self.activations[-1] == LINEAR else 0

    @property
    def weighted_loss(self) -> Loss:
        return Loss(self.loss, self.class_weight)

    @property
    def clipping(self) -> Clipping | None:
        """A new object for one engine; None where gradients are not clipped."""
        return None if self.clip_norm is None else Clipping(self.clip_norm)

    @property
    def dropout(self) -> Dropout | None:
        return Dropout(self.dropout_rates, self.sizes[1:-1], self.seed) if self.dropout_rates else None

    def masks(self, t: int, positions: Positions) -> Masks:
        """The masks of dropout in update ``t``, from 1, for the batch's examples at these positions."""
        if self.dropout is None:
            return ()
        epoch, batch = divmod(t - 1, self.batches_per_epoch)
        return self.dropout.masks(epoch + 1, batch, positions, self.dtype)

    @property
    def network(self) -> Network:
        return Network(self.sizes, self.activations, self.l2, self.dtype, self.weighted_loss)

    @property
    def update_rule(self) -> Optimizer:
        return Optimizer(
            self.optimizer,
            self.learning_rate,
            self.momentum,
            self.beta1,
            self.beta2,
            self.epsilon,
            self.weight_decay,
        )

    @property
    def update_rule_at(self) -> Callable[[int], Optimizer]:
        """The optimizer of an update, by its number from 1."""
        rule = self.update_rule
        if self.schedule is None:
            return lambda _: rule
        schedule, batches, epochs = Schedule(**self.schedule), self.batches_per_epoch, self.epochs

        def scheduled(t: int) -> Optimizer:
            return replace(rule, learning_rate=rule.learning_rate * schedule.share(t, batches, epochs))

        return scheduled

    def learning_rate_of(self, epoch: int) -> float:
        """The learning rate of an epoch's last update."""
        if self.schedule is None:
            return self.learning_rate
        return self.update_rule_at(epoch * self.batches_per_epoch).learning_rate

    def scores(self, split: Split, sums: Tally) -> Scores:
        """The scores of a model whose sums over all examples of ``split`` are ``sums``."""
        examples = self.examples_of(split)
        if not self.targets:
            return cast("Scores", {f"{split}_accuracy": sums.correct / examples})
        found = errors(sums, examples, self.variation[split])._asdict()
        return cast(
            "Scores",
            {f"{split}_{name}": value for name, value in found.items() if value is not None and math.isfinite(value)},
        )

    def examples_of(self, split: Split) -> int:
        return {"train": self.examples, "validation": self.validation_examples, "test": self.test_examples}[split]

    @property
    def keeps_best(self) -> bool:
        """Whether the model is that of the lowest validation cost."""
        return self.validation_examples > 0 and self.keep == "best"

    def final_scores(self, train: Tally, test: Tally | Labels, validation: Tally | None) -> FinalScores:
        """The scores of a final model; ``test`` are its ``class_counts``, or of regression the sums."""
        sums = test if isinstance(test, Tally) else Tally(0.0, int(test[2].sum()))
        found = cast("FinalScores", {**self.scores("train", train), **self.scores("test", sums)})
        if validation is not None:
            found = cast("FinalScores", {**found, **self.scores("validation", validation)})
        if not isinstance(test, Tally):
            found["test_classes"] = as_class_counts(test.tolist())
        return found

    def batches(self, epoch: int) -> list[Batch]:
        """The example indices of each batch of an epoch."""
        return batch_slices(self.examples, self.batch_size, self.seed, epoch)

    @property
    def batches_per_epoch(self) -> int:
        return 1 if self.batch_size is None else -(-self.examples // self.batch_size)

    def meets_after(self, t: int) -> bool:
        """Whether all workers have one model after update ``t`` (from 1): it may be stored, and they may part.

        With ``average_every`` only every so often, and at an epoch's end.
        """
        return t % (self.average_every or 1) == 0 or t % self.batches_per_epoch == 0

    def place(self, epoch: int, batches: int) -> str:
        """A place in training, for people: after ``epoch`` epochs and ``batches`` batches of the next."""
        if not batches:
            return f"epoch {epoch}"
        return f"epoch {epoch} and {batches} of the {self.batches_per_epoch} batches of epoch {epoch + 1}"

    def batch_examples(self, batch: int) -> int:
        """The number of examples in a batch, counted from 0; an epoch's last batch may be short."""
        if self.batch_size is None:
            return self.examples
        return min(self.batch_size, self.examples - batch * self.batch_size)

    @property
    def has_test_cost(self) -> bool:
        """Whether rows of the history have the test set's cost: elsewhere its time would be felt in short epochs."""
        return self.validation_examples > 0

    def recorded(self, epoch: int) -> bool:
        """True when the history has a row for this epoch; the last epoch always has one."""
        return epoch % self.record_every == 0 or epoch == self.epochs
