"""Wherever an epoch is interrupted, and its state is all that the next one has, the same bits come out."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn.data.in_memory import TrainingData, ValidationSet
from lnn.job.plan import Plan
from lnn.models.checkpoint import Checkpoint
from lnn.network import init_parameters, new_slots
from lnn.strategies.engine import StepResult
from lnn.strategies.fused.engine import InExampleSpace, Textbook
from support.plans import plan

EPOCHS, BATCHES = 3, 7
"""7 batches: 13 examples in pairs."""
RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 2, 13)
X = RNG.normal(size=(13, 40)).T
DATA = TrainingData(
    X,
    LABELS[np.newaxis].astype(float),
    LABELS,
    RNG.normal(size=(4, 40)).T,
    LABELS[:4],
    ValidationSet(X[:, :0], np.empty((1, 0)), LABELS[:0]),
)


def train(job: Plan, engine: type[Textbook | InExampleSpace], pauses: set[int]) -> tuple[list[StepResult], bytes]:
    """What each step told, and the parameters at the end; ``pauses`` are numbers of updates."""
    parameters = init_parameters(job.sizes, job.activations, "he", 1, job.dtype)
    trained = engine(job, DATA, Checkpoint(0, parameters, new_slots(parameters, job.update_rule)))
    steps = []
    for epoch in range(1, EPOCHS + 1):
        for t, batch in enumerate(job.batches(epoch), start=(epoch - 1) * BATCHES + 1):
            steps.append(trained.step(batch, t, tally=True))
            if t in pauses:
                trained = engine(job, DATA, copy.deepcopy(trained.checkpoint(epoch - 1)))
    state = trained.checkpoint(EPOCHS)
    layers = zip(state.parameters, state.slots, strict=True)
    arrays = [array for (W, b), (of_W, of_b) in layers for array in (W, b, *of_W, *of_b)]
    return steps, b"".join(array.tobytes() for array in arrays)


@pytest.mark.parametrize(
    ("engine", "settings_"),
    [
        (Textbook, {"optimizer": "adam", "l2": 0.1}),
        (Textbook, {"optimizer": "momentum"}),
        (InExampleSpace, {"optimizer": "sgd", "l2": 0.1}),
        (InExampleSpace, {"optimizer": "momentum", "l2": 0.1}),
        (Textbook, {"optimizer": "adamw", "weight_decay": 0.1, "beta2": 0.9}),
        (
            InExampleSpace,
            {"optimizer": "nesterov", "momentum": 0.5, "schedule": {"kind": "cosine", "warmup_epochs": 1}},
        ),
    ],
)
@given(pauses=st.sets(st.integers(1, EPOCHS * BATCHES)))
@settings(max_examples=25, deadline=None)
def test_pauses_change_no_bit(engine: Any, settings_: dict[str, Any], pauses: set[int]) -> None:
    job = plan(sizes=[40, 4, 3, 1], epochs=EPOCHS, batch_size=2, **settings_)
    assert train(job, engine, pauses) == train(job, engine, set())
