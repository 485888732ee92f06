"""``auto``: which strategy runs a training fastest, among those that fit.

The estimates are coarse on purpose: they only have to tell minutes from hours. Each constant says
where it comes from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from lnn.errors import SettingsError
from lnn.network import OPTIMISERS, example_space
from lnn.network.example_space import plain_multiplications
from lnn.plan import EXAMPLE_SPACE, PLAIN
from lnn.settings import Settings

FLOPS_PER_SECOND = 1e10
"""Float64 GEMM on one Lambda vCPU: half of the 20 GFLOP/s that one core of a 2.5 GHz server reaches."""

NEURON_INVOCATION_SECONDS = 0.015
"""One asynchronous invocation of a warm neuron, from the call to its arrival at the barrier."""

STEP_SECONDS = 0.05
"""From the last arrival of a step to the first invocation of the next."""

PARALLEL_NEURONS = 8
"""Neurons of a layer that work at the same time, on an account with ordinary concurrency."""

RUNTIME_MB = 160
"""The interpreter, numpy and the AWS clients, before any data."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The strategy a run will use, and why, in a sentence."""

    strategy: str
    workers: int
    reason: str
    formulation: str = PLAIN


def choose(settings: Settings, features: int, examples: int, test_examples: int, trainer_memory_mb: int) -> Decision:
    """The strategy that was asked for, or the fastest that fits.

    Raises SettingsError when the run does not fit the trainer's memory: then no strategy can run it,
    since every one evaluates the network there.
    """
    sizes = [features, *settings.sizes]
    needed = trainer_megabytes(settings, sizes, examples, test_examples)
    if needed > trainer_memory_mb:
        raise SettingsError(
            f"dtype: training needs about {needed} MB in the Trainer, which has {trainer_memory_mb} MB; "
            "raise functions.trainer.memory in Terraform (up to 10240), use float32 or smaller layers or batches"
        )
    formulation = fused_formulation(settings, sizes, examples, test_examples, trainer_memory_mb - needed)
    fused = fused_epoch_seconds(sizes, examples) * settings.epochs
    if formulation == EXAMPLE_SPACE:
        spared = plain_multiplications(sizes, examples, test_examples, settings.epochs)
        spared -= example_space.multiplications(sizes, examples, test_examples, settings.epochs)
        fused = max(0.0, fused - 2 * spared / FLOPS_PER_SECOND)
    seconds = {
        "fused": fused,
        "neuron": neuron_epoch_seconds(sizes, examples, settings.batch_size) * settings.epochs,
    }
    if settings.strategy != "auto":
        used = formulation if settings.strategy == "fused" else PLAIN
        return Decision(settings.strategy, _workers(settings, examples), "as asked for in parameters.json", used)
    fastest = min(seconds, key=lambda strategy: seconds[strategy])
    slower = ", ".join(f"{name} {_about(value)}" for name, value in seconds.items() if name != fastest)
    return Decision(fastest, 1, f"{fastest} is estimated at {_about(seconds[fastest])}, {slower}", formulation)


def _workers(settings: Settings, examples: int) -> int:
    most = {"resident": settings.sizes[0], "data": examples}.get(settings.strategy, 1)
    return min(settings.workers or 2, most)


def fused_formulation(settings: Settings, sizes: list[int], examples: int, test_examples: int, spare_mb: int) -> str:
    """Example space where it is exact, takes fewer multiplications, and its matrices fit ``spare_mb``."""
    if not example_space.is_exact(settings.optimizer) or examples >= sizes[0]:
        return PLAIN
    here = example_space.multiplications(sizes, examples, test_examples, settings.epochs)
    plain = plain_multiplications(sizes, examples, test_examples, settings.epochs)
    item = 4 if settings.dtype == "float32" else 8
    # K and K_test, a batch's rows of K, U and its kin, and W1 at the start and when it is put together.
    batch = min(settings.batch_size or examples, examples)
    values = examples * (examples + test_examples + batch) + 6 * sizes[1] * examples + 3 * sizes[0] * sizes[1]
    return EXAMPLE_SPACE if here < plain and values * item / 2**20 < spare_mb else PLAIN


def multiplications(sizes: list[int], examples: int) -> int:
    """Multiply-adds of one epoch: forward, and twice that backward (dW and the delta)."""
    weights = sum(inputs * units for inputs, units in pairwise(sizes))
    # The first layer has no delta to hand back.
    return examples * (3 * weights - sizes[0] * sizes[1])


def fused_epoch_seconds(sizes: list[int], examples: int) -> float:
    """Seconds for one epoch in one process."""
    return 2 * multiplications(sizes, examples) / FLOPS_PER_SECOND


def neuron_epoch_seconds(sizes: list[int], examples: int, batch_size: int | None) -> float:
    """Seconds for one epoch with an invocation for each neuron, layer and direction."""
    batches = math.ceil(examples / (batch_size or examples))
    waves = sum(max(1.0, units / PARALLEL_NEURONS) for units in sizes[1:])
    steps = 2 * (len(sizes) - 1)
    calls = batches * (2 * waves * NEURON_INVOCATION_SECONDS + steps * STEP_SECONDS)
    return calls + fused_epoch_seconds(sizes, examples) / PARALLEL_NEURONS


def trainer_megabytes(settings: Settings, sizes: list[int], examples: int, test_examples: int) -> int:
    """Peak memory of the Trainer: both data sets, parameters with gradients and slots, one batch's activations."""
    item = 4 if settings.dtype == "float32" else 8
    batch = min(settings.batch_size or examples, examples)
    weights = sum(inputs * units for inputs, units in pairwise(sizes))
    # A mini-batch is copied out of the training set; the full batch is not.
    copied = batch * sizes[0] if batch < examples else 0
    # Each unit has its output and its delta, with one temporary of the same size.
    values = (
        (examples + test_examples) * sizes[0]
        + copied
        + (3 + OPTIMISERS[settings.optimizer]) * weights
        + 3 * batch * sum(sizes[1:])
    )
    return RUNTIME_MB + math.ceil(values * item / 2**20)


def _about(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 2 else "under 2 seconds"
