"""What ``fused`` takes, in either formulation."""

import math
from functools import cached_property

from lnn.job.plan import EXAMPLE_SPACE, PLAIN
from lnn.network import example_space
from lnn.planning import memory
from lnn.planning.cost_model import Costs, Course, Need
from lnn.planning.workload import Job


class Fused(Costs):
    """The whole run inside the Trainer."""

    @cached_property
    def formulation(self) -> str:  # type: ignore[override]
        """Example space where it is exact, takes fewer multiplications, and its matrices fit."""
        job = self.job
        if not example_space.is_exact(job.optimizer) or job.examples >= job.features:
            return PLAIN
        sets = (job.sizes, job.examples, job.held_out, job.epochs)
        fewer = example_space.multiplications(*sets) < example_space.plain_multiplications(*sets)
        spare_mb = self.functions.trainer_memory_mb - memory.trainer_mb(job)
        return EXAMPLE_SPACE if fewer and example_space_mb(job) < spare_mb else PLAIN

    def course(self) -> Course:
        job, memory_mb, load = self.job, self.functions.trainer_memory_mb, self.loading(self.set_bytes())
        if self.formulation == PLAIN:
            parts = job.parts()
            cores = self.cores(memory_mb, parts)
            epoch = self.passes(cores, job.examples, job.evaluated, parts=parts, in_processes=True)
            return Course(epoch + self.rows(), load=load)
        cores = self.cores(memory_mb)
        # Layer 1 works on (units, m) and (m, m) matrices; X is used before the first epoch and after the last.
        rates, m, units, evaluated = self.rates, job.examples, job.units[0], job.evaluated
        flops = 2 * (units * m * (m + evaluated) + job.upper_weights * (3 * m + evaluated))
        streamed = job.item * m * (m + evaluated) * (3 if job.batches > 1 else 1)  # rows of K are copied for a batch
        matrices = 1 + job.slots
        updated = job.item * job.batches * 5 * matrices * units * m
        epoch = (
            self.product_seconds(flops, streamed, cores)
            + (updated + self.elementwise(m)) / rates.elementwise_bytes
            + job.batches * job.layers * rates.layer_seconds
            + self.dropout(m)
            + self.rows()
        )
        once = 2 * example_space.multiplications(job.sizes, m, job.held_out, 0) / rates.flops(job.dtype) / cores
        return Course(epoch, once=once, load=load)

    def needs(self) -> list[Need]:
        extra = example_space_mb(self.job) if self.formulation == EXAMPLE_SPACE else 0
        return [("trainer.memory", memory.trainer_mb(self.job) + extra)]

    def remark(self) -> str:
        return "in example space" if self.formulation == EXAMPLE_SPACE else ""


def example_space_mb(job: Job) -> int:
    """What example space needs besides: K, also of the held-out sets, a batch's rows of it, U and its kin, W1 at start
    and end.
    """
    m, units = job.examples, job.units[0]
    values = m * (m + job.held_out + job.batch) + 6 * units * m + 3 * job.features * units
    return math.ceil(memory.megabytes(values, job))
