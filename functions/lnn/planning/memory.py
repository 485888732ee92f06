"""What takes memory in every strategy, in MB: each adds these up in its own costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lnn.planning.workload import Job

RUNTIME_MB = 160
"""The interpreter, numpy and the AWS clients, before any data. Measured on the local cloud, 2026-11-21: 70 to 100 MB
resident. The rest is for Lambda's own runtime and as a reserve (estimate)."""

SHARD_MB = 32
"""A shard of the features on its way from S3: as it arrives, and as an array."""


def megabytes(values: float, job: Job) -> float:
    """MB of so many values in the run's dtype."""
    return values * job.item / 2**20


def all_sets(job: Job) -> int:
    """Values of the examples, those that are held out among them."""
    return (job.examples + job.held_out) * job.features


def batch_values(job: Job) -> int:
    """Values that come with a batch: each unit's output and delta with one temporary, Z where it is kept, a mask and
    the output before it where some are dropped, and a mini-batch's copy of X.
    """
    copied = job.batch * job.features if job.batch < job.examples else 0
    return copied + job.batch * (3 * sum(job.units) + job.kept_units + 2 * job.dropped_units)


def trainer_mb(job: Job) -> int:
    """A whole run in the Trainer: all data, parameters with gradients, slots and those of the best epoch, one batch's
    activations.
    """
    values = all_sets(job) + (2 + job.parts() + job.slots) * job.weights + job.best_parameters + batch_values(job)
    return RUNTIME_MB + SHARD_MB + math.ceil(megabytes(values, job))
