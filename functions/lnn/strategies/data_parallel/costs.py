"""What ``data`` takes."""

import math

from lnn.job.plan import WHOLE_UP_TO
from lnn.planning import memory
from lnn.planning.cost_model import Costs, Course, Need

BLOCK_MB = 64
"""A block of training examples with what the layers make of it, about 32 MB, one of test examples, 8 MB, and up to 24
MB of examples for mini-batches."""

LABELS_AND_ORDER = 24
"""Bytes for each training example of the whole set: labels (8), an epoch's shuffled order (16)."""


def exchanges_of_an_update(workers: int) -> int:
    """How often the workers meet for one update: two give each other all of it, more give pieces first."""
    return 1 if workers <= WHOLE_UP_TO else 2


class Data(Costs):
    """All of the network for a share of the examples, read anew in every epoch."""

    def course(self) -> Course:
        job, rates, workers = self.job, self.rates, self.workers
        cores = self.cores(self.functions.neuron_memory_mb)
        own, evaluated = job.examples / workers, job.evaluated / workers
        values = (own + evaluated) * job.features
        read = values * rates.standardize_seconds / min(1.0, cores)
        epoch = self.passes(cores, own, evaluated) + read + self.rows()
        if job.batches > 1:  # the own examples are anywhere in a mini-batch, whose masks are drawn whole
            epoch += self.dropout(job.examples - own) / min(1.0, cores)
        averaged = 1 + job.slots if job.average_every else 1
        meetings = math.ceil(job.batches / (job.average_every or 1))
        pieces = 1 if exchanges_of_an_update(workers) == 1 else workers
        piece = averaged * job.parameters * job.item / pieces
        exchange = meetings * exchanges_of_an_update(workers) * self.exchange(piece)
        if job.validation_examples:
            exchange += self.exchange(0)
        if pieces > 1 and not job.average_every:  # else each worker has the whole gradient that it clips
            exchange += self.norms()
        return Course(epoch, exchange, load=self.worker_start() + self.loading(self.set_bytes() / workers))

    def needs(self) -> list[Need]:
        """Memory for the parameters a few times, labels, one block of examples: whatever the features or workers.

        Flat parameters, gradient, pieces sent and received, slots, and the best epoch's; in worker 0 a checkpoint as it
        is serialized.
        On disk its share of all sets, as they are stored.
        """
        job = self.job
        values = (7 + 3 * job.slots) * job.parameters + 3 * job.best_parameters
        wide = 2 * job.features  # a block has one example at least
        labels = LABELS_AND_ORDER * job.examples / 2**20
        fixed = memory.RUNTIME_MB + memory.SHARD_MB + BLOCK_MB
        sets = (job.examples, job.test_examples, job.validation_examples)
        rows = sum(math.ceil(examples / self.workers) for examples in sets)
        return [
            ("neuron.memory", fixed + math.ceil(memory.megabytes(values + wide, job) + labels)),
            ("neuron.storage", math.ceil(rows * job.features * job.stored_item / 2**20)),
        ]

    def work(self) -> tuple[int, str]:
        return self.job.examples, "examples"
