"""Wherever an epoch is interrupted, and its state is all that the next one has, the same bits come out."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnn.data.in_memory import TrainingData
from lnn.job.plan import Plan
from lnn.models.checkpoint import Checkpoint, EpochSoFar
from lnn.network import init_parameters, new_slots
from lnn.strategies.fused.engine import Engine, InExampleSpace, Plain, train_epoch
from support.plans import plan

EPOCHS, BATCHES = 3, 7
"""7 batches: 13 examples in pairs."""
RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 2, 13)
DATA = TrainingData(
    RNG.normal(size=(13, 40)).T, LABELS[np.newaxis].astype(float), LABELS, RNG.normal(size=(4, 40)).T, LABELS[:4]
)


def train(job: Plan, engine: type[Plain | InExampleSpace], pauses: set[int]) -> tuple[list[Any], bytes]:
    """Costs and right predictions of each epoch, and the parameters at the end; ``pauses`` are numbers of updates."""
    parameters = init_parameters(job.sizes, job.activations, "he", 1, job.dtype)
    state = Checkpoint(0, parameters, new_slots(parameters, job.update_rule))
    history = []
    trained: Engine = engine(job, DATA, state)
    for epoch in range(1, EPOCHS + 1):
        so_far = EpochSoFar()
        while so_far.batches < BATCHES:
            at = (epoch - 1) * BATCHES + so_far.batches
            until = min((pause for pause in pauses if pause > at), default=10**9)
            left = iter(range(at + 1, 10**9))
            done = train_epoch(trained, job, DATA, epoch, so_far, lambda left=left, until=until: next(left) == until)
            if at + done[0] - so_far.batches in pauses:
                trained = engine(job, DATA, copy.deepcopy(trained.checkpoint(epoch - 1)))
            so_far = EpochSoFar(*done)
        history.append((so_far.cost_sum, so_far.correct))
    state = trained.checkpoint(EPOCHS)
    layers = zip(state.parameters, state.slots, strict=True)
    arrays = [array for (W, b), (of_W, of_b) in layers for array in (W, b, *of_W, *of_b)]
    return history, b"".join(array.tobytes() for array in arrays)


@pytest.mark.parametrize(
    ("engine", "settings_"),
    [
        (Plain, {"optimizer": "adam", "l2": 0.1}),
        (Plain, {"optimizer": "momentum"}),
        (InExampleSpace, {"optimizer": "sgd", "l2": 0.1}),
        (InExampleSpace, {"optimizer": "momentum", "l2": 0.1}),
    ],
)
@given(pauses=st.sets(st.integers(1, EPOCHS * BATCHES)))
@settings(max_examples=25, deadline=None)
def test_pauses_change_no_bit(engine: Any, settings_: dict[str, Any], pauses: set[int]) -> None:
    job = plan(sizes=[40, 4, 3, 1], epochs=EPOCHS, batch_size=2, **settings_)
    assert train(job, engine, pauses) == train(job, engine, set())
