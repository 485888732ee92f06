"""What is trained: tiny jobs of every strategy, drawn once, so that each has to be trained undisturbed only once."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

TEST_EXAMPLES = 16
"""Enough for a test accuracy to tell one epoch's parameters from another's."""

STRATEGIES = ("fused", "neuron", "resident", "data")

STEPPED = 0.4
"""How many of the jobs of strategy ``neuron`` are stepped."""


@dataclass(frozen=True)
class Job:
    """A dataset, its parameters, and what the deployment is like."""

    number: int
    dataset: bytes = field(repr=False)
    parameters: Mapping[str, Any]
    step_seconds: float
    """Of a training step where a function trains for long."""
    window: int = 0
    trainer_seconds: float = 900.0
    neuron_seconds: float = 900.0
    """Time limits of the functions."""
    watch_seconds: float = 20.0
    """Between two looks of the watch."""
    pace: float = 0.05
    """Seconds that a message to a function usually takes."""
    every_checkpoint: bool = False
    """Store a checkpoint after each step."""
    stepped: bool = False
    """A person lets it go on step by step, where the code under test knows of that."""

    @property
    def strategy(self) -> str:
        return str(self.parameters["strategy"])

    def with_every_checkpoint(self) -> Job:
        """The same job, which stores a checkpoint after each batch, and a row of the history after each epoch."""
        return replace(
            self,
            parameters={**self.parameters, "checkpoint_seconds": 1e-6, "record_every": 1},
            every_checkpoint=True,
            pace=0.05,
            trainer_seconds=900.0,
            neuron_seconds=900.0,
        )

    def with_other_weights(self) -> Job:
        """The same job with another seed: other first weights of the same shapes."""
        return replace(self, parameters={**self.parameters, "seed": int(self.parameters["seed"]) + 1})


@cache
def dataset(number: int, examples: int, features: int, classes: int, *, weighted: bool) -> bytes:
    """A file of examples with a little structure in them, and with weights for some jobs."""
    import h5py

    rng = np.random.default_rng(number)
    y, y_test = np.arange(examples) % classes, np.arange(TEST_EXAMPLES) % classes
    centers = rng.normal(size=(classes, features)) * 2
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["train_set_x"] = centers[y] + rng.normal(size=(examples, features))
        file["train_set_y"] = y
        if weighted:
            file["train_set_w"] = np.arange(examples) % 4
        file["test_set_x"] = centers[y_test] + rng.normal(size=(TEST_EXAMPLES, features))
        file["test_set_y"] = y_test
        file["list_classes"] = np.array([f"class {index}".encode() for index in range(classes)])
    return buffer.getvalue()


def _validation(number: int) -> dict[str, Any]:
    """Keys of a validation set, for some jobs; by dice of its own, so that all else of a job stays as it was."""
    dice = random.Random(f"validation of job {number}")
    if dice.random() < 0.3:
        return {}
    return {
        "validation": 0.3,
        "patience": dice.choice((None, 1, 2)),
        "keep": dice.choice(("best", "best", "last")),
        "learning_rate": dice.choice((0.1, 1.0)),  # at the higher one the last epoch is often not the best
    }


@cache
def job(number: int, strategies: tuple[str, ...] = STRATEGIES) -> Job:
    """Job ``number``, from 0."""
    dice = random.Random(f"job {number}")
    strategy = strategies[number % len(strategies)]
    classes = dice.choice((2, 2, 3))
    examples, features = dice.randint(4, 8), dice.randint(2, 4)
    units = dice.randint(2, 3)
    outputs = 1 if classes == 2 and dice.random() < 0.7 else classes
    activation = "sigmoid" if outputs == 1 else "softmax"
    parameters: dict[str, Any] = {
        "strategy": strategy,
        "epochs": dice.randint(3, 8) if strategy != "neuron" else dice.randint(3, 5),
        "layers": 2,
        "neurons": {"layer1": units, "layer2": outputs},
        "activations": {"layer1": dice.choice(("tanh", "relu", "gelu")), "layer2": activation},
        "learning_rate": 0.1,
        "optimizer": dice.choice(("sgd", "momentum", "nesterov", "adam", "adamw")),
        "schedule": dice.choice((None, None, {"kind": "cosine", "warmup_epochs": 1})),
        "batch_size": dice.choice((None, None, 3)),
        "l2": dice.choice((0.0, 0.0, 0.1)),
        "dtype": "float64",
        "record_every": dice.choice((1, 1, 2)),
        "checkpoint_seconds": dice.choice((1e-6, 2.0, 10.0)),
        "notify_every": dice.choice((None, 2)),
        "seed": dice.randint(0, 99),
    }
    if strategy in ("resident", "data"):
        parameters["workers"] = dice.choice((2, 2, 3)) if strategy == "data" else 2
        if strategy == "data" and dice.random() < 0.3:
            parameters["average_every"] = 2
    if examples >= 6:
        parameters |= _validation(number)
    limit = dice.choice((900.0, 900.0, 900.0, 15.0))
    keys = random.Random(f"further keys of job {number}")
    parameters["class_weight"] = keys.choice((None, None, "balanced", {"class 1": 5}))
    parameters["dropout"] = keys.choice(({}, {}, {"layer1": 0.4}))
    parameters["clip_norm"] = keys.choice((None, None, 0.05))
    weighted = keys.random() < 0.3
    return Job(
        number=number,
        dataset=dataset(number, examples, features, classes, weighted=weighted),
        parameters=parameters,
        step_seconds=dice.choice((0.05, 0.5, 2.0)),
        window=dice.choice((0, 0, 1, 2)),
        trainer_seconds=limit if strategy == "fused" else 900.0,
        neuron_seconds=limit if strategy in ("resident", "data") else 900.0,
        pace=dice.choice((0.05, 0.3, 1.0)),
        watch_seconds=dice.choice((5.0, 20.0, 60.0)),
        stepped=strategy == "neuron" and random.Random(f"steps of job {number}").random() < STEPPED,
    )
