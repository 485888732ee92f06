"""What a training takes: seconds, dollars, invocations and memory, for every strategy and number of workers.

Each strategy's time is a sum that can be read: what is computed (a pass is as slow as the slower of its arithmetic and
of the memory it streams), what is exchanged (round trips, commands, bytes), and what comes once (start, loading, end).
A strategy's own ``Costs`` are in its folder and are built from the parts that are here. Every constant is in ``Rates``,
with its source. "estimate" says that nobody has measured it on AWS. The model has to tell seconds from minutes from
hours; ``lnn estimate --calibrate`` replaces its scale by measurements.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from lnn.aws.pricing import lambda_usd, logs_usd
from lnn.environment import VCPU_MB
from lnn.job.plan import PLAIN
from lnn.planning.rates import AWS, Rates
from lnn.planning.workload import Functions, Job
from lnn.runs.log_size import METRICS_BYTES, closing_bytes, metrics_lines
from lnn.strategies.registry import STRATEGIES, Strategy

PART_COMMANDS = 5
"""Redis commands for each part that one worker gives another: SET, RPUSH and EXPIRE by the giver, BLPOP and GET by
the taker (``process_group``)."""

EXCHANGE_COMMANDS = 1
"""Redis commands of a worker for each exchange: UNLINK, which removes the parts that it has read in the one before."""

NODE_PASSES = 1.5
"""How often the node's bandwidth has to pass a part, with a network card that sends while it receives: once in, and
once out, but workers that are ahead send while others still receive. Measured with 4 to 64 workers, 0.4 to 40 MB
(`make bench-scale`): 1 to 2."""

VALUE_BYTES = 8
"""A float64 that each worker gives the others."""

CALLING_SECONDS = 0.2
"""What the Trainer takes to call the workers of a generation. Estimate."""

Need = tuple[str, int]
"""A size of a function, named as in Terraform, such as ``trainer.memory``, and the MB that are needed of it."""


def about(seconds: float) -> str:
    """Seconds for people, with one digit that counts."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 2 else "under 2 seconds"


@dataclass(frozen=True, slots=True)
class Correction:
    """What a measurement says of one strategy: the model's own figures, scaled."""

    fixed_seconds: float | None = None
    """From the upload to the model, less the training."""
    once_seconds: float | None = None
    """In the training, but not in every epoch."""
    factor: float = 1.0
    """Of the time of an epoch, but for exchanges between workers."""
    wait_seconds: float = 0.0
    """Added to an epoch with several workers: waking up and waiting for the slowest, beyond what the model knows."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one way to run a job is expected to take."""

    strategy: str
    workers: int
    seconds_total: float
    """From the start of the upload to the model."""
    seconds_training: float
    """From the first epoch's start to the last one's end."""
    ms_per_epoch: float
    usd: float
    """Functions' time, requests and logs from the Trainer on: what a run adds up as its own price."""
    invocations: int
    peak_memory_mb: int
    """Of the function that needs the most."""
    fits: bool
    reason: str
    """Why it does not fit; else what there is to say about it, possibly nothing."""
    formulation: str = PLAIN
    depends_on_cache: bool = False
    """It does not fit the smallest cache; whether it fits this one the functions do not know."""


@dataclass(frozen=True, slots=True)
class Course:
    """The parts of a strategy's time, in seconds, before they are added up."""

    epoch: float
    """Computing, in one epoch."""
    exchange: float = 0.0
    """Exchanging, in one epoch."""
    once: float = 0.0
    """In the training, but not in every epoch."""
    load: float = 0.0
    """From the Trainer's call to the first epoch."""


@dataclass(frozen=True, slots=True)
class CostModel:
    """A job on a deployment in a cloud."""

    job: Job
    functions: Functions = field(default_factory=Functions)
    rates: Rates = AWS
    corrections: Mapping[str, Correction] = field(default_factory=dict)

    def costs(self, strategy: str, workers: int = 1) -> Costs:
        """The costs of ``strategy`` with so many workers (1 where it takes none)."""
        row = STRATEGIES[strategy]
        costs: Costs = row.load("costs")(self.job, self.functions, self.rates, row, workers)
        return costs

    def estimate(self, strategy: str, workers: int = 1) -> Estimate:
        """The costs added up and corrected by what was measured."""
        costs = self.costs(strategy, workers)
        course = costs.course()
        correction = self.corrections.get(strategy, Correction())
        epoch = course.epoch * correction.factor + course.exchange
        if workers > 1:
            epoch += max(correction.wait_seconds, -0.9 * course.exchange)
        once = course.once * correction.factor if correction.once_seconds is None else correction.once_seconds
        training = self.job.epochs * epoch + once
        end = self.rates.end_seconds + costs.end_pass_seconds()
        fixed = correction.fixed_seconds
        if fixed is None:
            fixed = costs.launch_seconds() + course.load + end
        usd, invocations = costs.price(course.load + training + end, training)
        obstacle = costs.obstacle(course.load + epoch / self.job.legs)
        doubt = None if obstacle else costs.doubt()
        return Estimate(
            strategy=strategy,
            workers=workers,
            seconds_total=fixed + training,
            seconds_training=training,
            ms_per_epoch=training * 1000 / self.job.epochs,
            usd=usd,
            invocations=invocations,
            peak_memory_mb=max(mb for size, mb in costs.needs() if size.endswith("memory")),
            fits=not (obstacle or doubt),
            reason=obstacle or doubt or costs.remark(),
            formulation=costs.formulation,
            depends_on_cache=doubt is not None,
        )


class Costs(ABC):
    """What one way to run a job takes: the base of every strategy's own, with the parts that they share.

    Price and obstacles are those of invocations that stay: the Trainer itself, or workers that it calls.
    """

    formulation = PLAIN

    def __init__(self, job: Job, functions: Functions, rates: Rates, strategy: Strategy, workers: int) -> None:
        self.job, self.functions, self.rates = job, functions, rates
        self.strategy, self.workers = strategy, workers

    @abstractmethod
    def course(self) -> Course:
        """The parts of the time."""

    @abstractmethod
    def needs(self) -> list[Need]:
        """What it needs of the functions' sizes."""

    def work(self) -> tuple[int, str]:
        """How much there is that workers can share, and its name: more workers would have nothing to do."""
        return 1, "function"

    def remark(self) -> str:
        """What there is to say of a way that fits, possibly nothing."""
        return ""

    def doubt(self) -> str | None:
        """What may keep it from fitting, where the functions do not know the deployment's size."""
        return None

    def obstacle(self, leg: float) -> str | None:
        """What keeps a strategy from running this job, and what to change.

        ``leg`` is the seconds of what an invocation has to get done to have done anything: loading, and what comes
        before it may store a checkpoint.
        """
        job, functions = self.job, self.functions
        most, things = self.work()
        if self.workers > most:
            return f"{self.workers} workers, but only {most} {things}"
        sizes = {
            "trainer.memory": functions.trainer_memory_mb,
            "neuron.memory": functions.neuron_memory_mb,
            "neuron.storage": functions.neuron_storage_mb,
        }
        for size, needed in self.needs():
            if needed > sizes[size]:
                role, _, setting = size.partition(".")
                what = "memory" if setting == "memory" else "ephemeral storage"
                has = f"in the {role.capitalize()}, which has {sizes[size]} MB (functions.{size} in Terraform)"
                return f"about {needed} MB of {what} {has}"
        if leg > self._longest:
            what = "a batch" if job.batch < job.examples else "an epoch of one batch"
            what = f"{job.average_every} batches" if (job.average_every or 1) > 1 else what
            return f"to load the data and {what} take {leg:.0f} s, and one invocation ends after {self._longest} s"
        return None

    def price(self, busy: float, training: float) -> tuple[float, int]:
        """US dollars from the Trainer on, and invocations, Launch's included; ``busy`` counts for each function."""
        functions, workers = self.functions, self.workers
        generations = math.ceil(busy / self._longest)
        called = generations * workers if self.strategy.trains_in == "neuron" else 0
        memory_mb = functions.neuron_memory_mb if called else functions.trainer_memory_mb
        logged = (generations + called) * closing_bytes(functions.log_level)
        usd = logs_usd(logged + metrics_lines(self.job.rows, training) * METRICS_BYTES)
        usd += lambda_usd(busy * workers, memory_mb, generations * workers, functions.architecture)
        if called:
            caller = generations * CALLING_SECONDS
            usd += lambda_usd(caller, functions.trainer_memory_mb, generations, functions.architecture)
        return usd, 1 + generations + called

    @property
    def _longest(self) -> int:
        """How long one invocation may take of the function that trains."""
        in_trainer = self.strategy.trains_in == "trainer"
        return self.functions.trainer_timeout if in_trainer else self.functions.neuron_timeout

    # Parts of an epoch

    def passes(
        self,
        cores: float,
        examples: float,
        evaluated: float,
        units: int | None = None,
        features: int | None = None,
        parts: int = 1,
        in_processes: bool = False,
    ) -> float:
        """Seconds of one epoch of the plain formulation: a block of W1 (all of it if None), all of the layers above.

        Forward, dW, and the delta of every layer but the first; of ``evaluated`` examples a forward pass alone. The
        ``parts`` of a batch run side by side in threads or ``in_processes``.
        """
        job, rates = self.job, self.rates
        units, features = units or job.units[0], features or job.features
        first, upper = units * features, job.upper_weights
        flops = 2 * (examples * (2 * first + 3 * upper) + evaluated * (first + upper))
        streamed = job.item * features * (2 * examples + evaluated)
        copied = 2 * job.item * features * examples if job.batches > 1 else 0
        # Clipping reads the gradients for their norm, and reads and writes them again where it scales them.
        touched = 4 + 4 * job.slots + (0 if job.clip_norm is None else 3)
        updated = job.item * job.batches * touched * (first + upper)
        # In threads numpy's own code runs at the same time, and Python's does not.
        python_cores = cores if in_processes else min(1.0, cores)
        return (
            self.product_seconds(flops, streamed, cores)
            + ((copied + self.elementwise(examples)) / cores + updated / min(1.0, cores)) / rates.elementwise_bytes
            + job.batches * parts * job.layers * rates.layer_seconds / python_cores
            + self.dropout(examples) / cores
        )

    def dropout(self, examples: float) -> float:
        """Seconds for the masks of so many examples, on one vCPU."""
        job, rates = self.job, self.rates
        calls = job.batches * len(job.dropout_layers) * rates.layer_seconds
        return examples * job.dropped_units * rates.dropout_seconds + calls

    def product_seconds(self, flops: float, streamed: float, cores: float) -> float:
        """A matrix product takes as long as its arithmetic, or as its largest matrix takes to stream."""
        return max(flops / self.rates.flops(self.job.dtype), streamed / self.rates.memory_bytes) / cores

    def elementwise(self, examples: float) -> float:
        """Bytes that activations, their derivatives and deltas read and write for so many examples."""
        return 10 * self.job.item * examples * sum(self.job.units)

    def rows(self) -> float:
        return self.job.recorded * self.rates.row_seconds

    def exchange(self, part: float) -> float:
        """Seconds of one exchange in which each worker gives ``part`` bytes to each other one.

        A part's bytes go in and out, which overlaps on a node with a network card (``NODE_PASSES``). Redis serves one
        command after the other; the workers do their parts of it at the same time, where they have cores of their own.
        """
        workers = self.workers
        if workers == 1:
            return 0.0
        rates, peers = self.rates, workers - 1
        passes = NODE_PASSES if rates.cores is None else 2  # on one machine a processor copies each way
        commands = EXCHANGE_COMMANDS + peers * PART_COMMANDS
        server = workers * (commands * rates.command_seconds + peers * passes * part / rates.cache_bytes)
        client = commands * rates.client_command_seconds + peers * 2 * part / rates.function_bytes
        if rates.cores is None:
            return rates.round_trip_seconds + max(server, client)
        return rates.round_trip_seconds + (server + workers * client) / rates.cores

    def norms(self) -> float:
        """Seconds of an epoch's exchanges of the norms by which gradients are clipped."""
        return 0.0 if self.job.clip_norm is None else self.job.batches * self.exchange(VALUE_BYTES)

    # What comes once

    def cores(self, memory_mb: int, parts: int = 1) -> float:
        """How many vCPUs a function of this size computes with: one at most for each part of a batch."""
        bought = memory_mb / VCPU_MB
        if self.rates.cores is not None:
            bought = min(math.ceil(bought), self.rates.cores / self.workers)
        return min(parts, bought)

    def set_bytes(self) -> float:
        """Bytes of all features as they are stored."""
        job = self.job
        return float(job.features * (job.examples + job.held_out) * job.stored_item)

    def launch_seconds(self) -> float:
        """Until the Trainer is called: the user's upload, Launch's reading and storing."""
        rates, stored = self.rates, self.set_bytes()
        transfer = stored / rates.upload_bytes + 2 * stored / rates.s3_bytes
        return rates.cold_start_seconds + rates.launch_seconds + transfer

    def loading(self, stored: float) -> float:
        """Until every worker has started and fetched so many bytes of features."""
        rates = self.rates
        contention = max(1.0, self.workers / rates.cores) if rates.cores else 1.0
        values = stored / self.job.stored_item
        fetching = (stored + self.job.weights * self.job.item) / rates.s3_bytes
        return rates.cold_start_seconds + contention * (fetching + values * rates.standardize_seconds)

    def worker_start(self) -> float:
        """Until the Trainer has started and called the workers."""
        return self.rates.cold_start_seconds + 2 * self.rates.invocation_seconds

    def end_pass_seconds(self) -> float:
        """The scores of the final parameters, and their way to S3: checkpoint and model."""
        job, rates = self.job, self.rates
        flops = 2 * job.weights * (job.examples + job.held_out)
        return flops / rates.flops(job.dtype) + (2 + job.slots) * job.weights * job.item / rates.s3_bytes
