"""What ``data`` takes."""

import math

from lnn.job.plan import WHOLE_UP_TO
from lnn.planning.cost_model import Costs, Course, Need
from lnn.strategies.data_parallel.memory import needed_mb


def exchanges_of_an_update(workers: int) -> int:
    """How often the workers meet for one update: two give each other all of it, more give pieces first."""
    return 1 if workers <= WHOLE_UP_TO else 2


class Data(Costs):
    """All of the network for a share of the examples, read anew in every epoch."""

    def course(self) -> Course:
        job, rates, workers = self.job, self.rates, self.workers
        parts = job.parts(workers)
        cores = self.cores(self.functions.neuron_memory_mb, parts)
        own, evaluated = job.examples / workers, job.evaluated / workers
        values = (own + evaluated) * job.features
        read = values * rates.standardize_seconds / min(1.0, cores)
        epoch = self.passes(cores, own, evaluated, parts=parts) + read + self.rows()
        if job.batches > 1:  # the own examples are anywhere in a mini-batch, whose masks are drawn whole
            epoch += self.dropout(job.examples - own) / cores
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
        """Memory for everything but examples, which it holds as far as there is room; on disk its share of all sets,
        as they are stored.
        """
        job = self.job
        needed = needed_mb(
            parameters=job.parameters,
            slots=job.slots,
            best_parameters=job.best_parameters,
            parts=job.parts(self.workers),
            features=job.features,
            examples=job.examples,
            item=job.item,
        )
        sets = (job.examples, job.test_examples, job.validation_examples)
        rows = sum(math.ceil(examples / self.workers) for examples in sets)
        return [
            ("neuron.memory", needed),
            ("neuron.storage", math.ceil(rows * job.features * job.stored_item / 2**20)),
        ]

    def work(self) -> tuple[int, str]:
        return self.job.examples, "examples"
