"""How much memory each strategy needs, in MB of the function that needs the most."""

from __future__ import annotations

import math

from lnn.planning.workload import Job

RUNTIME_MB = 160
"""The interpreter, numpy and the AWS clients, before any data. Measured on the local cloud, 2026-11-21: 70 to 100 MB
resident. The rest is for Lambda's own runtime and as a reserve (estimate)."""

SHARD_MB = 32
"""A shard of the features on its way from S3: as it arrives, and as an array."""

BLOCK_MB = 64
"""Strategy ``data``: a block of training examples with what the layers make of it, about 32 MB, one of test examples, 8
MB, and up to 24 MB of examples for mini-batches."""

LABELS_AND_ORDER = 24
"""Strategy ``data``: bytes for each training example of the whole set: labels (8), an epoch's shuffled order (16)."""


def megabytes(values: float, job: Job) -> float:
    """MB of so many values in the run's dtype."""
    return values * job.item / 2**20


def both_sets(job: Job) -> int:
    """Values of the training and the test examples."""
    return (job.examples + job.test_examples) * job.features


def batch_values(job: Job) -> int:
    """Values that come with a batch: each unit's output and delta with one temporary, and a mini-batch's copy of X."""
    copied = job.batch * job.features if job.batch < job.examples else 0
    return copied + 3 * job.batch * sum(job.units)


def fused_mb(job: Job) -> int:
    """Both data sets, parameters with gradients and slots, one batch's activations."""
    values = both_sets(job) + (3 + job.slots) * job.weights + batch_values(job)
    return RUNTIME_MB + SHARD_MB + math.ceil(megabytes(values, job))


def example_space_mb(job: Job) -> int:
    """What example space needs besides: K and K_test, a batch's rows of K, U and its kin, W1 at start and end."""
    m, units = job.examples, job.units[0]
    values = m * (m + job.test_examples + job.batch) + 6 * units * m + 3 * job.features * units
    return math.ceil(megabytes(values, job))


def resident_mb(job: Job, workers: int) -> int:
    """Both data sets in every worker, its block of W1, the upper layers; in worker 0 a checkpoint with all of W1.

    A worker that has some features of every example keeps them beside all of them.
    """
    units, features = job.block(workers)
    own = (3 + job.slots) * (units * features + job.upper_weights)
    if features < job.features:
        own += (job.examples + job.test_examples) * features
    # Every worker reads the first checkpoint whole; worker 0 puts the later ones together and serialises them.
    whole = 3 * (1 + job.slots) * job.weights
    return RUNTIME_MB + SHARD_MB + math.ceil(megabytes(both_sets(job) + own + whole + batch_values(job), job))


def data_mb(job: Job) -> int:
    """The parameters a few times, labels, one block of examples: whatever the number of features or workers.

    Flat parameters, gradient, pieces sent and received, and slots; in worker 0 a checkpoint as it is serialised.
    """
    values = (7 + 3 * job.slots) * job.parameters
    wide = 2 * job.features  # a block has one example at least
    labels = LABELS_AND_ORDER * job.examples / 2**20
    return RUNTIME_MB + SHARD_MB + BLOCK_MB + math.ceil(megabytes(values + wide, job) + labels)


def data_storage_mb(job: Job, workers: int) -> int:
    """Ephemeral storage of one worker of ``data``: its share of both sets, as they are stored."""
    rows = math.ceil(job.examples / workers) + math.ceil(job.test_examples / workers)
    return math.ceil(rows * job.features * job.stored_item / 2**20)


def neuron_cache_mb(job: Job) -> int:
    """Redis, for ``neuron``: X, parameters and slots twice, outputs and deltas of every layer."""
    values = job.examples * job.features + 2 * (1 + job.slots) * job.parameters + 2 * job.batch * sum(job.units)
    return math.ceil(megabytes(values, job))


def neuron_function_mb(job: Job) -> int:
    """One neuron's environment keeps X; it reads single rows of everything else, but for the layer before its own."""
    widest = max(job.units)
    copied = job.batch * job.features if job.batch < job.examples else 0
    values = job.examples * job.features + copied + 2 * job.batch * widest + 4 * job.features
    return RUNTIME_MB + math.ceil(megabytes(values, job))
