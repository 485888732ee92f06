"""What ``resident`` takes."""

import math

from lnn.planning import memory
from lnn.planning.cost_model import Costs, Course, Need


class Resident(Costs):
    """A block of W1, cut along its longer side, and everything above; an all-gather of the parts of W1 X."""

    def course(self) -> Course:
        job, workers = self.job, self.workers
        cores = self.cores(self.functions.neuron_memory_mb)
        units, features = job.block(workers)
        together = job.examples + job.test_examples * job.recorded
        part = units * together * job.item
        added = 3 * (workers - 1) * part / self.rates.elementwise_bytes / min(1.0, cores)
        epoch = self.passes(cores, job.examples, job.evaluated, units, features) + added + self.rows()
        exchange = job.batches * self.exchange(part / job.batches) + self.norms()
        if job.validation_examples:
            exchange += self.exchange(units * job.validation_examples * job.item)
        return Course(epoch, exchange, load=self.worker_start() + self.loading(self.set_bytes()))

    def needs(self) -> list[Need]:
        """All data in every worker, its block of W1, the upper layers; in worker 0 a checkpoint with all of W1.

        A worker that has some features of every example keeps them beside all of them.
        """
        job = self.job
        units, features = job.block(self.workers)
        own = (3 + job.slots + job.keeps_best) * (units * features + job.upper_weights)
        if features < job.features:
            own += (job.examples + job.held_out) * features
        # Every worker reads the first checkpoint whole; worker 0 puts the later ones together and serializes them.
        whole = 3 * ((1 + job.slots) * job.weights + job.best_parameters)
        values = memory.all_sets(job) + own + whole + memory.batch_values(job)
        return [("neuron.memory", memory.RUNTIME_MB + memory.SHARD_MB + math.ceil(memory.megabytes(values, job)))]

    def work(self) -> tuple[int, str]:
        features, units = self.job.sizes[:2]
        return (features, "features") if features > units else (units, "units in layer 1")
