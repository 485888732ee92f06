"""What ``neuron`` takes: an invocation for each neuron, layer and direction, and the Trainer between the steps."""

import math

from lnn.aws.pricing import lambda_usd, logs_usd
from lnn.planning import memory
from lnn.planning.cost_model import Costs, Course, Need, about
from lnn.runs.log_size import METRICS_BYTES, closing_bytes
from lnn.strategies.neuron.layout import directions_of, pauses_of_batch

CACHE_MB = 400
"""What a cache.t4g.micro holds of tensors: 0.5 GiB less what ElastiCache reserves (ElastiCache user guide)."""

LONGEST_BATCH_SECONDS = 300.0
"""A stop, a limit and a checkpoint wait for the end of a batch, and a crash repeats it."""

LONGEST_SECONDS = 14 * 86_400.0
"""Of a whole run: half of the days after which a run's tensors are deleted (``runs_expiry_days`` in Terraform)."""

MOST_USD = 1000.0
"""Of a whole run."""


def neuron_round_trips(first: bool, last: bool) -> tuple[int, int]:
    """How often one neuron of a layer waits for Redis, forward and backward; ``first`` and ``last`` are of layers.

    Which step it is, its own rows, A of the layer before, and its arrival. Backward, a hidden layer also asks for its
    column of the next layer's W and for that layer's dZ. The environment keeps the examples, A of layer 0.
    """
    before = 0 if first else 1
    return 3 + before, 3 + before + (0 if last else 2)


def update_round_trips(first: bool) -> int:
    """How often a neuron waits for Redis in a step that updates it: as forward, and for the factor."""
    return neuron_round_trips(first, last=False)[0] + 1


class Neuron(Costs):
    """No invocation stays, so none is too long. There may be too many of them."""

    def course(self) -> Course:
        job, rates = self.job, self.rates
        parallel = min(self.functions.neuron_window or rates.parallel_neurons, rates.parallel_neurons)
        steps = 0.0
        for layer, units in enumerate(job.units, start=1):
            for busy in self._busy(layer):
                waves = max(1.0, units / parallel)
                steps += rates.step_seconds + waves * (rates.invocation_seconds + busy)
        # For a row of the history and for a validation the Trainer fetches the parameters and does a forward pass.
        cores = self.cores(self.functions.trainer_memory_mb)
        fetched = job.recorded + (job.validation_examples > 0)
        evaluation = fetched * (rates.step_seconds + job.parameters * job.item / rates.function_bytes)
        evaluation += self.product_seconds(
            2 * job.weights * job.evaluated, job.item * job.features * job.evaluated, cores
        )
        inputs = job.examples * job.features * job.item
        load = self.loading(self.set_bytes()) + rates.cold_start_seconds + 2 * inputs / rates.function_bytes
        return Course(job.batches * steps + evaluation, load=load)

    def _busy(self, layer: int) -> list[float]:
        """Seconds that one neuron of a layer is busy in its forward, its backward and, where it has one, its update
        step.
        """
        job, rates = self.job, self.rates
        inputs, m = job.sizes[layer - 1], job.batch
        units_dropped = job.sizes[layer] if layer in job.dropout_layers else 0
        cores = min(1.0, self.cores(self.functions.neuron_memory_mb))
        # A_prev comes from Redis, but for the examples, which the environment keeps.
        before = 0 if layer == 1 else inputs * m
        above = job.sizes[layer + 1] * m if layer < job.layers else 0
        used = inputs * m * (3 if layer == 1 and job.batches > 1 else 1)  # a mini-batch is copied out of X
        pass_seconds = used * job.item / rates.memory_bytes / cores
        forward = (before + inputs + m) * job.item / rates.function_bytes
        backward = (before + above + 2 * (1 + job.slots) * inputs + 2 * m) * job.item / rates.function_bytes
        to_and_fro = [trips * rates.round_trip_seconds for trips in neuron_round_trips(layer == 1, layer == job.layers)]
        masks = units_dropped * m * rates.dropout_seconds / cores  # each neuron draws its layer's whole mask
        handler = rates.handler_seconds + pass_seconds + masks
        busy = [handler + to_and_fro[0] + forward, handler + to_and_fro[1] + backward]
        if job.clip_norm is not None:
            busy.append(handler + update_round_trips(layer == 1) * rates.round_trip_seconds + backward)
        return busy

    def price(self, busy: float, training: float) -> tuple[float, int]:  # noqa: ARG002
        job, functions = self.job, self.functions
        updates = job.batches * job.epochs
        neurons = sum(job.units)
        seconds = sum(units * sum_ for layer, units in enumerate(job.units, start=1) for sum_ in self._busy(layer))
        directions = directions_of(job.clip_norm)
        of_neuron, of_trainer = updates * directions * neurons, updates * directions * job.layers
        if job.stepped:
            of_trainer += updates * pauses_of_batch(job.layers, job.clip_norm)
        usd = lambda_usd(updates * seconds, functions.neuron_memory_mb, of_neuron, functions.architecture)
        steps = of_trainer * self.rates.step_busy_seconds
        usd += lambda_usd(steps, functions.trainer_memory_mb, of_trainer, functions.architecture)
        usd += logs_usd(
            of_neuron * closing_bytes(functions.log_level, neuron=True)
            + of_trainer * closing_bytes(functions.log_level)
            + job.rows * METRICS_BYTES
        )
        return usd, 2 + of_neuron + of_trainer

    def needs(self) -> list[Need]:
        """The Trainer evaluates with all of the data. A neuron's environment keeps X, and reads single rows of
        everything else, but for the layer before its own.
        """
        job = self.job
        copied = job.batch * job.features if job.batch < job.examples else 0
        values = job.examples * job.features + copied + 2 * job.batch * max(job.units) + 4 * job.features
        return [
            ("trainer.memory", memory.trainer_mb(job)),
            ("neuron.memory", memory.RUNTIME_MB + math.ceil(memory.megabytes(values, job))),
        ]

    def obstacle(self, leg: float) -> str | None:  # noqa: ARG002
        return super().obstacle(leg=0.0) or self._too_many_invocations()

    def _too_many_invocations(self) -> str | None:
        """What keeps the run from ending, or stopping, in reasonable time and for reasonable money."""
        job, course = self.job, self.course()
        batch, training = course.epoch / job.batches, course.epoch * job.epochs
        if batch > LONGEST_BATCH_SECONDS:
            one = "a batch" if job.batches > 1 else "an epoch of one batch"
            calls = directions_of(job.clip_norm) * (sum(job.units) + job.layers)
            return f"{one} takes {calls:,} invocations and about {about(batch)}; expected at most 5 minutes"
        usd, invocations = self.price(training, training)
        if job.limited or (training <= LONGEST_SECONDS and usd <= MOST_USD):
            return None
        return (
            f"{invocations:,} invocations take about {about(training)} and ${usd:,.0f}; expected at most 14 days and "
            "$1,000, or a threshold, max_seconds or max_usd, which may end the run before"
        )

    def doubt(self) -> str | None:
        """Redis holds X, parameters and slots twice, the best epoch's, outputs and deltas of all layers, and what is
        kept beside them.
        """
        job = self.job
        values = job.examples * job.features + 2 * (1 + job.slots) * job.parameters + job.best_parameters
        values += job.batch * (2 * sum(job.units) + job.kept_units + job.dropped_units)
        needed = math.ceil(memory.megabytes(values, job))
        if needed <= CACHE_MB:
            return None
        return f"about {needed} MB in Redis; a cache.t4g.micro holds {CACHE_MB} MB"
