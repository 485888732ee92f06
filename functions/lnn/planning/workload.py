"""What a training is asked to do and with what, as the cost model sees it: numbers only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lnn.network import ACTIVATIONS, OPTIMIZERS
from lnn.network.parts import cut

if TYPE_CHECKING:
    from lnn.data.dataset import DatasetSummary
    from lnn.environment import Environment
    from lnn.job.hyperparameters import Settings

LONGEST_SECONDS = 900
"""Terraform's default for how long one invocation of Trainer or Neuron may take, the longest that it allows
(docs/adr/20261128-lambda-time-limit.md): for estimates without a deployment. Functions read their own from the
environment."""


@dataclass(frozen=True, slots=True)
class Job:
    """Dimensions and settings that time, price and memory depend on."""

    sizes: tuple[int, ...]
    """[n, units of layer 1, ..., units of layer L]."""
    examples: int
    test_examples: int
    stored_item: int
    """Bytes of one feature as the dataset stores it: 1 for uint8."""
    epochs: int
    batch_size: int | None
    optimizer: str
    dtype: str
    record_every: int
    average_every: int | None
    validation_examples: int = 0
    keeps_best: bool = False
    """The parameters of the best epoch are kept beside the latest."""
    limited: bool = False
    """It may end before its last epoch: by its costs, or at a person's limit of time or money."""
    kept_units: int = 0
    """Units whose Z is kept beside A for the backward pass."""
    clip_norm: float | None = None
    dropout_layers: tuple[int, ...] = ()
    """The hidden layers that have dropout, from 1."""
    stepped: bool = False
    """It waits at each barrier for a person."""

    @classmethod
    def of(cls, settings: Settings, summary: DatasetSummary) -> Job:
        examples, validation = summary.divided(settings.validation)
        return cls(
            sizes=(summary.features, *settings.sizes),
            examples=examples,
            validation_examples=validation,
            keeps_best=validation > 0 and settings.keep == "best",
            test_examples=summary.m_test,
            stored_item=np.dtype(summary.dtype).itemsize,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            optimizer=settings.optimizer,
            dtype=settings.dtype_for(summary.dtype),
            record_every=settings.record_every,
            average_every=settings.average_every,
            limited=any(
                limit is not None
                for limit in (settings.threshold, settings.patience, settings.max_seconds, settings.max_usd)
            ),
            kept_units=sum(
                units
                for units, name in zip(settings.sizes[:-1], settings.activation_list[:-1], strict=True)
                if ACTIVATIONS[name].keeps_input
            ),
            clip_norm=settings.clip_norm,
            dropout_layers=tuple(layer for layer, rate in enumerate(settings.dropout_rates, start=1) if rate),
            stepped=settings.step,
        )

    @property
    def features(self) -> int:
        return self.sizes[0]

    @property
    def units(self) -> tuple[int, ...]:
        return self.sizes[1:]

    @property
    def layers(self) -> int:
        return len(self.sizes) - 1

    @property
    def item(self) -> int:
        """Bytes of one value in training."""
        return np.dtype(self.dtype).itemsize

    @property
    def slots(self) -> int:
        return OPTIMIZERS[self.optimizer]

    @property
    def batch(self) -> int:
        """Examples of a batch."""
        return min(self.batch_size or self.examples, self.examples)

    def parts(self, workers: int = 1) -> int:
        """Parts of a worker's share of a batch, which may be computed side by side."""
        return len(cut(math.ceil(self.batch / workers), self.weights, self.item))

    @property
    def batches(self) -> int:
        """Updates in an epoch."""
        return -(-self.examples // self.batch)

    @property
    def legs(self) -> int:
        """Parts of an epoch after which a checkpoint may be stored."""
        return max(1, self.batches // (self.average_every or 1))

    @property
    def weights(self) -> int:
        return sum(inputs * units for inputs, units in pairwise(self.sizes))

    @property
    def upper_weights(self) -> int:
        """Weights of all layers but the first."""
        return self.weights - self.sizes[0] * self.sizes[1]

    @property
    def parameters(self) -> int:
        return self.weights + sum(self.units)

    @property
    def best_parameters(self) -> int:
        """Of the best epoch, where they are kept."""
        return self.parameters if self.keeps_best else 0

    def block(self, workers: int) -> tuple[int, int]:
        """Units and features of the largest block of W1 when so many workers cut it along its longer side."""
        features, units = self.sizes[:2]
        if units >= features:
            return math.ceil(units / workers), features
        return units, math.ceil(features / workers)

    @property
    def held_out(self) -> int:
        """Examples that are not trained with, but loaded: the test and the validation set."""
        return self.test_examples + self.validation_examples

    @property
    def evaluated(self) -> float:
        """Examples that an epoch only evaluates: the validation set, and where it has a row the test set."""
        return self.validation_examples + self.test_examples * self.recorded

    @property
    def dropped_units(self) -> int:
        """Units of the hidden layers that have dropout."""
        return sum(self.sizes[layer] for layer in self.dropout_layers)

    @property
    def rows(self) -> int:
        """Rows of the history: the last epoch has one, too."""
        return self.epochs // self.record_every + (self.epochs % self.record_every > 0)

    @property
    def recorded(self) -> float:
        """Share of the epochs that have a row in the history, and so a test accuracy."""
        return self.rows / self.epochs


@dataclass(frozen=True, slots=True)
class Functions:
    """The sizes of a deployment's functions; the defaults are Terraform's."""

    trainer_memory_mb: int = 3008
    neuron_memory_mb: int = 1769
    neuron_storage_mb: int = 2048
    """Of /tmp."""
    trainer_timeout: int = LONGEST_SECONDS
    neuron_timeout: int = LONGEST_SECONDS
    log_level: str = "INFO"
    neuron_window: int = 0
    max_workers: int = 16
    """The most workers that are chosen where none were asked for."""
    architecture: str = "arm64"
    neuron_concurrency: int = 0
    """The most workers that can run at once; 0 where no number is known."""

    @classmethod
    def of(cls, environment: Environment) -> Functions:
        return cls(
            trainer_memory_mb=environment.trainer_memory_mb,
            neuron_memory_mb=environment.neuron_memory_mb,
            neuron_storage_mb=environment.neuron_storage_mb,
            trainer_timeout=environment.trainer_timeout,
            neuron_timeout=environment.neuron_timeout,
            log_level=environment.log_level,
            neuron_window=environment.neuron_window,
            max_workers=environment.max_workers,
            architecture=environment.architecture,
            neuron_concurrency=environment.neuron_concurrency,
        )
