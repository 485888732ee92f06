"""What is trained: a job of some seconds for each way of running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from support.e2e_jobs import (
    EXAMPLE_SPACE_DATASET,
    EXAMPLE_SPACE_PARAMETERS,
    FUSED_DATASET,
    FUSED_PARAMETERS,
    NEURON_PARAMETERS,
    WEIGHTED_DATASET,
    WEIGHTED_FUSED_DATASET,
)

MEETS_IN_REDIS = "neuron", "resident", "data"
WORKERS = "resident", "data"
"""Strategies whose Neurons stay for many epochs."""


@dataclass(frozen=True, slots=True)
class Job:
    """A dataset and its parameters."""

    dataset: bytes
    parameters: Mapping[str, Any]

    @property
    def epochs(self) -> int:
        return int(self.parameters["epochs"])

    @property
    def pauses(self) -> int:
        """How often a run pauses in an epoch when it is paced: each batch of ``neuron``, each epoch of others."""
        return 2 if self.parameters["strategy"] == "neuron" else 1

    def with_epochs(self, epochs: int) -> Job:
        return Job(self.dataset, {**self.parameters, "epochs": epochs, "record_every": max(1, epochs // 20)})

    def with_parameters(self, **parameters: Any) -> Job:
        return Job(self.dataset, {**self.parameters, **parameters})


def _group(strategy: str, workers: int, epochs: int) -> Job:
    changes = {"strategy": strategy, "workers": workers, "epochs": epochs, "batch_size": 20, "record_every": 10}
    changes |= {"clip_norm": 0.5, "class_weight": {"class 1": 2}}
    return Job(WEIGHTED_FUSED_DATASET, FUSED_PARAMETERS | changes | {"notify_every": 50})


OF_NEURON = {"checkpoint_seconds": 1, "epochs": 12, "notify_every": 4, "dropout": {"layer1": 0.2}}

STRATEGIES = {
    "neuron": Job(WEIGHTED_DATASET, NEURON_PARAMETERS | OF_NEURON),
    "fused": Job(FUSED_DATASET, FUSED_PARAMETERS | {"epochs": 400, "record_every": 10, "notify_every": 100}),
    "example space": Job(
        EXAMPLE_SPACE_DATASET, EXAMPLE_SPACE_PARAMETERS | {"epochs": 1000, "record_every": 50, "notify_every": 200}
    ),
    "resident": _group("resident", workers=2, epochs=300),
    "data": _group("data", workers=3, epochs=150).with_parameters(validation=0.2),
}
"""A row for each way of running a training. All store a checkpoint after each second of work, mostly amid an epoch."""

LONG = {
    "fused": STRATEGIES["fused"].with_epochs(3000),
    "example space": STRATEGIES["example space"].with_epochs(9000),
    "resident": STRATEGIES["resident"].with_epochs(1500),
    "data": STRATEGIES["data"].with_epochs(900),
}
"""Jobs that a time limit of seconds cuts into ten generations, if the machine is not too fast for that."""

PACED = STRATEGIES | {"neuron": STRATEGIES["neuron"].with_epochs(24)}
"""Jobs that are slowed down, so that a run is still going on when a fault is over."""

RARE_CHECKPOINTS_SECONDS = 300
"""Longer than any of these jobs takes."""
