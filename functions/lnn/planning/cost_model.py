"""What a training takes: seconds, dollars, invocations and memory, for every strategy and number of workers.

Each strategy's time is a sum that can be read: what is computed (a pass is as slow as the slower of its arithmetic and
of the memory it streams), what is said (round trips, commands, bytes), and what comes once (start, loading, end). Every
constant is in ``Rates``, with its source. "estimate" says that nobody has measured it on AWS. The model has to tell
seconds from minutes from hours; ``lnn estimate --calibrate`` replaces its scale by measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lnn.aws.pricing import lambda_usd, logs_usd
from lnn.job.plan import EXAMPLE_SPACE, PLAIN, WHOLE_UP_TO
from lnn.network import example_space
from lnn.planning import memory
from lnn.planning.workload import Functions, Job
from lnn.runs.log_size import METRICS_BYTES, closing_bytes, metrics_lines

STRATEGIES = ("fused", "resident", "data", "neuron")

VCPU_MB = 1769
"""Memory that buys one vCPU (AWS Lambda developer guide, "Configure Lambda function memory")."""

CACHE_MB = 400
"""What a cache.t4g.micro holds of tensors: 0.5 GiB less what ElastiCache reserves (ElastiCache user guide)."""

PART_COMMANDS = 5
"""Redis commands for each part that one worker gives another: SET, RPUSH and EXPIRE by the giver, BLPOP and GETDEL by
the taker (``process_group``)."""


def exchanges_of_an_update(workers: int) -> int:
    """How often the workers of ``data`` meet for one update: two give each other all of it, more give pieces first."""
    return 1 if workers <= WHOLE_UP_TO else 2


def neuron_round_trips(first: bool, last: bool) -> tuple[int, int]:
    """How often one neuron of a layer waits for Redis, forward and backward; ``first`` and ``last`` are of layers.

    Which step it is, its own rows, A of the layer before, and its arrival. Backward, a hidden layer also asks for its
    column of the next layer's W and for that layer's dZ. The environment keeps the examples, A of layer 0.
    """
    before = 0 if first else 1
    return 3 + before, 3 + before + (0 if last else 2)


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast a cloud is. Measured: 2026-11-21 on one core of an Intel Xeon at 2.50 GHz, numpy 2.4 with OpenBLAS."""

    # Computing, each vCPU
    flops_float64: float = 1.0e10
    """Estimate: half of the 20 GFLOP/s that a Graviton2 core can reach (2.5 GHz, two 128-bit FMA units, Arm's
    Neoverse N1 optimisation guide). Measured on the Xeon: 2.5e10."""
    flops_float32: float = 2.0e10
    """Estimate: twice as many values in each vector. Measured on the Xeon: 5e10."""
    memory_bytes: float = 4.8e9
    """Bytes/s that a product with few rows streams of a large matrix. Measured on the Xeon; estimate for Lambda."""
    elementwise_bytes: float = 1.0e10
    """Bytes/s that numpy's elementwise operations read and write, temporaries included. Measured: 7 to 14e9."""
    standardize_seconds: float = 1.2e-9
    """For one stored value to become one of the network's. Measured."""
    layer_seconds: float = 3.5e-5
    """Python and numpy's calls for one layer in one update, whatever its size. Measured."""
    row_seconds: float = 1.5e-4
    """A row of the history, written beside the training by another thread of the same interpreter. Measured."""

    # Talking
    round_trip_seconds: float = 6e-4
    """Function to cache and back: 0.3 to 0.5 ms in one zone (unconfirmed), and redis-py's own time."""
    command_seconds: float = 2e-6
    """Redis' own time for a pipelined command. Estimate: half a million a second (redis.io, "Redis benchmark")."""
    client_command_seconds: float = 1.5e-5
    """redis-py's time to send a pipelined command and read its answer. Measured."""
    cache_bytes: float = 1.5e8
    """Bytes/s in or out of the cache. Estimate: a cache.t4g.micro has 5 Gbit/s in bursts, far less for hours."""
    function_bytes: float = 7.5e7
    """Bytes/s in or out of one function in a VPC. Estimate: about 600 Mbit/s."""
    s3_bytes: float = 6.0e7
    """Bytes/s between one function and S3, one object after the other. Estimate."""
    upload_bytes: float = 5.0e6
    """Bytes/s from the user to S3. Estimate: a line with 40 Mbit/s upwards."""

    # Invocations
    invocation_seconds: float = 0.03
    """One asynchronous invocation of a warm function, from the call to the handler. Estimate."""
    handler_seconds: float = 0.0076
    """A neuron's handler without its arithmetic and its round trips: parsing, Python. Estimate."""
    step_seconds: float = 0.08
    """From the last neuron of a step to the calls of the next: an invocation of the Trainer and its work. Estimate."""
    step_busy_seconds: float = 0.05
    """The part of it in which the Trainer is paid for. Estimate."""
    parallel_neurons: int = 8
    """Neurons of a step that make progress at the same time: the Trainer calls them four at a time. Estimate."""
    cold_start_seconds: float = 3.0
    """A function's first start: layer, network interface, imports. Estimate."""
    launch_seconds: float = 2.0
    """From the end of the upload to the Trainer's call: S3's event, checks, initial weights. Estimate."""
    end_seconds: float = 1.0
    """Checkpoint, model, results and the ledger's last entries, for a small model. Estimate."""

    cores: float | None = None
    """Cores that all functions share; None where every function has its own."""

    def flops(self, dtype: str) -> float:
        """Floating-point operations a second of one vCPU."""
        return self.flops_float32 if dtype == "float32" else self.flops_float64


AWS = Rates()


def local(cores: int) -> Rates:
    """A machine that runs emulator, Redis and all functions. Measured on two cores of the Xeon, but for the cores."""
    return Rates(
        flops_float64=2.5e10,
        flops_float32=5.0e10,
        round_trip_seconds=3e-4,
        cache_bytes=1e9,
        function_bytes=1e9,
        s3_bytes=5e7,
        upload_bytes=5e7,
        invocation_seconds=0.007,
        handler_seconds=0.0028,
        step_seconds=0.03,
        step_busy_seconds=0.01,
        parallel_neurons=cores,
        cold_start_seconds=0.0,
        launch_seconds=1.5,
        end_seconds=0.5,
        cores=cores,
    )


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
class Model:
    """A job on a deployment in a cloud."""

    job: Job
    functions: Functions = field(default_factory=Functions)
    rates: Rates = AWS
    corrections: Mapping[str, Correction] = field(default_factory=dict)

    def estimate(self, strategy: str, workers: int = 1) -> Estimate:
        """The estimate for ``strategy`` with so many workers (1 for ``fused`` and ``neuron``)."""
        formulation = self.formulation() if strategy == "fused" else PLAIN
        course = self.course(strategy, workers, formulation)
        correction = self.corrections.get(strategy, Correction())
        epoch = course.epoch * correction.factor + course.exchange
        if workers > 1:
            epoch += max(correction.wait_seconds, -0.9 * course.exchange)
        once = course.once * correction.factor if correction.once_seconds is None else correction.once_seconds
        training = self.job.epochs * epoch + once
        end = self.rates.end_seconds + self._end_pass_seconds()
        fixed = correction.fixed_seconds
        if fixed is None:
            fixed = self._launch_seconds() + course.load + end
        busy = course.load + training + end
        usd, invocations = self._price(strategy, workers, busy, training)
        obstacle = self._obstacle(strategy, workers, course.load + epoch / self.job.legs)
        small_cache = obstacle is None and strategy == "neuron" and memory.neuron_cache_mb(self.job) > CACHE_MB
        if small_cache:
            obstacle = f"about {memory.neuron_cache_mb(self.job)} MB in Redis; a cache.t4g.micro holds {CACHE_MB} MB"
        return Estimate(
            strategy=strategy,
            workers=workers,
            seconds_total=fixed + training,
            seconds_training=training,
            ms_per_epoch=training * 1000 / self.job.epochs,
            usd=usd,
            invocations=invocations,
            peak_memory_mb=self._memory(strategy, workers, formulation),
            fits=obstacle is None,
            reason=obstacle or ("in example space" if formulation == EXAMPLE_SPACE else ""),
            formulation=formulation,
            depends_on_cache=small_cache,
        )

    def most_workers(self, strategy: str) -> int:
        """Workers that have something to do: a feature or a neuron of layer 1, or an example."""
        return {"resident": max(self.job.sizes[:2]), "data": self.job.examples}.get(strategy, 1)

    def most_work(self, strategy: str) -> str:
        """``most_workers`` with the name of what there is for them."""
        longer = "features" if self.job.features > self.job.units[0] else "units in layer 1"
        return f"{self.most_workers(strategy)} {longer if strategy == 'resident' else 'examples'}"

    def formulation(self) -> str:
        """Of ``fused``: example space where it is exact, takes fewer multiplications, and its matrices fit."""
        job = self.job
        if not example_space.is_exact(job.optimizer) or job.examples >= job.features:
            return PLAIN
        sets = (job.sizes, job.examples, job.test_examples, job.epochs)
        fewer = example_space.multiplications(*sets) < example_space.plain_multiplications(*sets)
        spare_mb = self.functions.trainer_memory_mb - memory.fused_mb(job)
        return EXAMPLE_SPACE if fewer and memory.example_space_mb(job) < spare_mb else PLAIN

    # Time

    def course(self, strategy: str, workers: int, formulation: str = PLAIN) -> Course:
        """The parts of the time of a strategy; ``formulation`` is of ``fused``."""
        if strategy == "neuron":
            return self._neuron()
        if strategy == "resident":
            return self._resident(workers)
        if strategy == "data":
            return self._data(workers)
        return self._in_example_space() if formulation == EXAMPLE_SPACE else self._fused()

    def _fused(self) -> Course:
        job, cores = self.job, self._cores(self.functions.trainer_memory_mb)
        epoch = self._passes(cores, job.examples, job.test_examples) + self._rows()
        return Course(epoch, load=self._loading(self._set_bytes()))

    def _in_example_space(self) -> Course:
        """Layer 1 works on (units, m) and (m, m) matrices; X is used before the first epoch and after the last."""
        job, rates = self.job, self.rates
        cores = self._cores(self.functions.trainer_memory_mb)
        m, units, tests = job.examples, job.units[0], job.test_examples * job.recorded
        flops = 2 * (units * m * (m + tests) + job.upper_weights * (3 * m + tests))
        streamed = job.item * m * (m + tests) * (3 if job.batches > 1 else 1)  # rows of K are copied for a batch
        matrices = 2 if job.optimizer == "momentum" else 1
        updated = job.item * job.batches * 5 * matrices * units * m
        epoch = (
            self._product_seconds(flops, streamed, cores)
            + (updated + self._elementwise(m)) / rates.elementwise_bytes
            + job.batches * job.layers * rates.layer_seconds
            + self._rows()
        )
        once = 2 * example_space.multiplications(job.sizes, m, job.test_examples, 0) / rates.flops(job.dtype) / cores
        return Course(epoch, once=once, load=self._loading(self._set_bytes()))

    def _resident(self, workers: int) -> Course:
        """A block of W1, cut along its longer side, and everything above; an all-gather of the parts of W1 X."""
        job = self.job
        cores = self._cores(self.functions.neuron_memory_mb, workers)
        units, features = job.block(workers)
        together = job.examples + job.test_examples * job.recorded
        part = units * together * job.item
        added = 3 * (workers - 1) * part / self.rates.elementwise_bytes / min(1.0, cores)
        epoch = self._passes(cores, job.examples, job.test_examples, units, features) + added + self._rows()
        exchange = job.batches * self._exchange(workers, part / job.batches)
        return Course(epoch, exchange, load=self._worker_start() + self._loading(self._set_bytes(), workers))

    def _data(self, workers: int) -> Course:
        """All of the network for a share of the examples, read anew in every epoch; two exchanges for an update."""
        job, rates = self.job, self.rates
        cores = self._cores(self.functions.neuron_memory_mb, workers)
        own, own_tests = job.examples / workers, job.test_examples / workers
        values = (own + own_tests * job.recorded) * job.features
        read = values * rates.standardize_seconds / min(1.0, cores)
        epoch = self._passes(cores, own, own_tests) + read + self._rows()
        averaged = 1 + job.slots if job.average_every else 1
        meetings = math.ceil(job.batches / (job.average_every or 1))
        pieces = 1 if exchanges_of_an_update(workers) == 1 else workers
        piece = averaged * job.parameters * job.item / pieces
        exchange = meetings * exchanges_of_an_update(workers) * self._exchange(workers, piece)
        return Course(epoch, exchange, load=self._worker_start() + self._loading(self._set_bytes() / workers, workers))

    def _neuron(self) -> Course:
        """An invocation for each neuron, both ways; the Trainer between the steps."""
        job, rates = self.job, self.rates
        parallel = min(self.functions.neuron_window or rates.parallel_neurons, rates.parallel_neurons)
        steps = 0.0
        for layer, units in enumerate(job.units, start=1):
            for busy in self._neuron_busy(layer):
                waves = max(1.0, units / parallel)
                steps += rates.step_seconds + waves * (rates.invocation_seconds + busy)
        # A row of the history has a test accuracy: the Trainer fetches the parameters and does a forward pass.
        tests = job.test_examples * job.recorded
        cores = self._cores(self.functions.trainer_memory_mb)
        evaluation = job.recorded * (rates.step_seconds + job.parameters * job.item / rates.function_bytes)
        evaluation += self._product_seconds(2 * job.weights * tests, job.item * job.features * tests, cores)
        inputs = job.examples * job.features * job.item
        load = self._loading(self._set_bytes()) + rates.cold_start_seconds + 2 * inputs / rates.function_bytes
        return Course(job.batches * steps + evaluation, load=load)

    def _neuron_busy(self, layer: int) -> tuple[float, float]:
        """Seconds that one neuron of a layer is busy in its forward and in its backward step."""
        job, rates = self.job, self.rates
        inputs, m = job.sizes[layer - 1], job.batch
        cores = min(1.0, self._cores(self.functions.neuron_memory_mb))
        # A_prev comes from Redis, but for the examples, which the environment keeps.
        before = 0 if layer == 1 else inputs * m
        above = job.sizes[layer + 1] * m if layer < job.layers else 0
        used = inputs * m * (3 if layer == 1 and job.batches > 1 else 1)  # a mini-batch is copied out of X
        pass_seconds = used * job.item / rates.memory_bytes / cores
        forward = (before + inputs + m) * job.item / rates.function_bytes
        backward = (before + above + 2 * (1 + job.slots) * inputs + 2 * m) * job.item / rates.function_bytes
        first, last = layer == 1, layer == job.layers
        to_and_fro = [trips * rates.round_trip_seconds for trips in neuron_round_trips(first, last)]
        handler = rates.handler_seconds + pass_seconds
        return handler + to_and_fro[0] + forward, handler + to_and_fro[1] + backward

    def _passes(
        self, cores: float, examples: float, tests: float, units: int | None = None, features: int | None = None
    ) -> float:
        """Seconds of one epoch of the plain formulation: a block of W1 (all of it if None), all of the layers above.

        Forward, dW, and the delta of every layer but the first; a forward pass over ``tests`` examples in each
        recorded epoch.
        """
        job, rates = self.job, self.rates
        units, features = units or job.units[0], features or job.features
        first, upper = units * features, job.upper_weights
        tests *= job.recorded
        flops = 2 * (examples * (2 * first + 3 * upper) + tests * (first + upper))
        streamed = job.item * features * (2 * examples + tests)
        copied = 2 * job.item * features * examples if job.batches > 1 else 0
        updated = job.item * job.batches * (4 + 4 * job.slots) * (first + upper)
        return (
            self._product_seconds(flops, streamed, cores)
            + (copied + updated + self._elementwise(examples)) / rates.elementwise_bytes / min(1.0, cores)
            + job.batches * job.layers * rates.layer_seconds / min(1.0, cores)
        )

    def _product_seconds(self, flops: float, streamed: float, cores: float) -> float:
        """A matrix product takes as long as its arithmetic, or as its largest matrix takes to stream."""
        return max(flops / self.rates.flops(self.job.dtype), streamed / self.rates.memory_bytes) / cores

    def _elementwise(self, examples: float) -> float:
        """Bytes that activations, their derivatives and deltas read and write for so many examples."""
        return 10 * self.job.item * examples * sum(self.job.units)

    def _rows(self) -> float:
        return self.job.recorded * self.rates.row_seconds

    def _exchange(self, workers: int, part: float) -> float:
        """Seconds of one exchange in which each worker gives ``part`` bytes to each other one.

        A part's bytes go in and out. Redis serves one command after the other; the workers do their parts of it at the
        same time, where they have cores of their own.
        """
        if workers == 1:
            return 0.0
        rates, peers = self.rates, workers - 1
        server = workers * peers * (PART_COMMANDS * rates.command_seconds + 2 * part / rates.cache_bytes)
        client = peers * (PART_COMMANDS * rates.client_command_seconds + 2 * part / rates.function_bytes)
        if rates.cores is None:
            return rates.round_trip_seconds + max(server, client)
        return rates.round_trip_seconds + (server + workers * client) / rates.cores

    # What comes once

    def _cores(self, memory_mb: int, functions: int = 1) -> float:
        """How many vCPUs one of so many equal functions has for itself."""
        own = memory_mb / VCPU_MB
        if self.rates.cores is None:
            return own
        # The local cloud gives a function as many BLAS threads as it has vCPUs on AWS, on cores that all share.
        return min(math.ceil(own), self.rates.cores / functions)

    def _set_bytes(self) -> float:
        """Bytes of both sets of features as they are stored."""
        job = self.job
        return float(job.features * (job.examples + job.test_examples) * job.stored_item)

    def _launch_seconds(self) -> float:
        """Until the Trainer is called: the user's upload, Launch's reading and storing."""
        rates, stored = self.rates, self._set_bytes()
        transfer = stored / rates.upload_bytes + 2 * stored / rates.s3_bytes
        return rates.cold_start_seconds + rates.launch_seconds + transfer

    def _loading(self, stored: float, functions: int = 1) -> float:
        """Until a function has started and fetched so many bytes of features."""
        rates = self.rates
        contention = max(1.0, functions / rates.cores) if rates.cores else 1.0
        values = stored / self.job.stored_item
        fetching = (stored + self.job.weights * self.job.item) / rates.s3_bytes
        return rates.cold_start_seconds + contention * (fetching + values * rates.standardize_seconds)

    def _worker_start(self) -> float:
        """Until the Trainer has started and called the workers."""
        return self.rates.cold_start_seconds + 2 * self.rates.invocation_seconds

    def _end_pass_seconds(self) -> float:
        """Both accuracies of the final parameters, and their way to S3: checkpoint and model."""
        job, rates = self.job, self.rates
        flops = 2 * job.weights * (job.examples + job.test_examples)
        return flops / rates.flops(job.dtype) + (2 + job.slots) * job.weights * job.item / rates.s3_bytes

    # Price

    def _price(self, strategy: str, workers: int, busy: float, training: float) -> tuple[float, int]:
        """US dollars from the Trainer on, and invocations, Launch's included; ``busy`` counts for each function."""
        if strategy == "neuron":
            return self._neuron_price()
        functions = self.functions
        trainer, neuron = functions.trainer_memory_mb, functions.neuron_memory_mb
        generations = math.ceil(busy / self._longest_seconds(strategy))
        invocations = generations if strategy == "fused" else generations * (1 + workers)
        usd = logs_usd(
            invocations * closing_bytes(functions.log_level) + metrics_lines(self.job.rows, training) * METRICS_BYTES
        )
        if strategy == "fused":
            usd += lambda_usd(busy, trainer, generations, functions.architecture)
        else:
            usd += lambda_usd(busy * workers, neuron, generations * workers, functions.architecture)
            usd += lambda_usd(generations * 0.2, trainer, generations, functions.architecture)
        return usd, 1 + invocations

    def _longest_seconds(self, strategy: str) -> int:
        """How long one invocation may take of the function that trains."""
        return self.functions.trainer_timeout if strategy == "fused" else self.functions.neuron_timeout

    def _neuron_price(self) -> tuple[float, int]:
        job, functions = self.job, self.functions
        updates = job.batches * job.epochs
        neurons = sum(job.units)
        seconds = sum(
            units * busy for layer, units in enumerate(job.units, start=1) for busy in self._neuron_busy(layer)
        )
        of_neuron, of_trainer = updates * 2 * neurons, updates * 2 * job.layers
        usd = lambda_usd(updates * seconds, functions.neuron_memory_mb, of_neuron, functions.architecture)
        steps = of_trainer * self.rates.step_busy_seconds
        usd += lambda_usd(steps, functions.trainer_memory_mb, of_trainer, functions.architecture)
        usd += logs_usd(
            of_neuron * closing_bytes(functions.log_level, neuron=True)
            + of_trainer * closing_bytes(functions.log_level)
            + job.rows * METRICS_BYTES
        )
        return usd, 2 + of_neuron + of_trainer

    # Memory, and what else may be in the way

    def _memory(self, strategy: str, workers: int, formulation: str) -> int:
        job = self.job
        if strategy == "resident":
            return memory.resident_mb(job, workers)
        if strategy == "data":
            return memory.data_mb(job)
        needed = memory.fused_mb(job)
        if formulation == EXAMPLE_SPACE:
            needed += memory.example_space_mb(job)
        return max(needed, memory.neuron_function_mb(job)) if strategy == "neuron" else needed

    def _obstacle(self, strategy: str, workers: int, leg: float) -> str | None:
        """What keeps a strategy from running this job, and what to change.

        ``leg`` is the seconds of what an invocation has to get done to have done anything: loading, and what comes
        before it may store a checkpoint.
        """
        job, functions = self.job, self.functions
        if workers > self.most_workers(strategy):
            return f"{workers} workers, but only {self.most_work(strategy)}"
        role, has = ("trainer", functions.trainer_memory_mb)
        needed = memory.fused_mb(job)
        if strategy in ("resident", "data"):
            role, has = "neuron", functions.neuron_memory_mb
            needed = memory.resident_mb(job, workers) if strategy == "resident" else memory.data_mb(job)
        if needed > has:
            return _too_little("memory", needed, role, "memory", has)
        if strategy == "neuron" and memory.neuron_function_mb(job) > functions.neuron_memory_mb:
            needed = memory.neuron_function_mb(job)
            return _too_little("memory", needed, "neuron", "memory", functions.neuron_memory_mb)
        if strategy == "data":
            storage = memory.data_storage_mb(job, workers)
            if storage > functions.neuron_storage_mb:
                return _too_little("ephemeral storage", storage, "neuron", "storage", functions.neuron_storage_mb)
        longest = self._longest_seconds(strategy)
        if strategy != "neuron" and leg > longest:
            what = "a batch" if job.batch < job.examples else "an epoch of one batch"
            what = f"{job.average_every} batches" if (job.average_every or 1) > 1 else what
            return f"to load the data and {what} take {leg:.0f} s, and one invocation ends after {longest} s"
        return None


def _too_little(what: str, needed: int, role: str, setting: str, has: int) -> str:
    name = role.capitalize()
    return f"about {needed} MB of {what} in the {name}, which has {has} MB (functions.{role}.{setting} in Terraform)"
