"""``neuron``: what one neuron does in one step. The Trainer's side is in ``trainer``.

A neuron reads its own row of W, what the layer beside it put out, and nothing else; it stores its
result and arrives at the barrier in one call. The last to finish invokes the Trainer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lnn.aws.invoker import Invoker
from lnn.errors import CacheLost, LnnError, StaleStep, Throttled
from lnn.messages import Message, Step
from lnn.network import (
    ACTIVATIONS,
    dropped_out,
    linear_backward,
    linear_forward,
    propagate_delta,
    sum_of_squares,
    take_examples,
)
from lnn.parameter_server.barrier import Arrival, ArrivalStatus, Barrier
from lnn.parameter_server.codec import TensorKey
from lnn.parameter_server.records import Mark
from lnn.parameter_server.server import ParameterServer
from lnn.runs.failover import ask_for_next, fail, told
from lnn.runs.services import Services
from lnn.runs.timeline import cold_start, store_records
from lnn.strategies.neuron.layout import Layout

logger = logging.getLogger(__name__)

Array = NDArray[Any]
Row = tuple[TensorKey, Array]

PLAN_KEY = "plan|dict"

_plans: dict[str, Layout] = {}
"""By the fill that the plan was read from, as the inputs are: a warm environment keeps those of one."""
_inputs: dict[str, Array] = {}


def handle(services: Services, message: Message) -> str:
    """``work``, and what follows if it fails; returns how it went.

    Raises what was not foreseen, too, for the function's figures to show it.
    """
    try:
        server = services.server(message.run_id)
        arrival = work(server, services.invoker, message, services.environment.neuron_window, *cold_start())
    except StaleStep as stale:
        logger.info("superseded", extra={"reason": str(stale)})
        return ArrivalStatus.STALE.value
    except CacheLost as lost:
        logger.warning("parameter server lost the run", extra={"reason": str(lost)})
        ask_for_next(services, message, told(f"neuron {message.neuron_number} of layer {message.layer}", lost))
    except Throttled:
        raise  # Lambda repeats the message; that is nobody's fault
    except LnnError as error:
        fail(services, message, str(error))
    except Exception as error:
        ask_for_next(services, message, told(f"neuron {message.neuron_number} of layer {message.layer}", error))
        raise
    else:
        if arrival.lease_due:
            keep_lease(services, message)
        if arrival.storing:
            store_records(services, message.run_id, [arrival.storing])
        return arrival.status.value
    return "failed"


def keep_lease(services: Services, message: Message) -> None:
    """Renew the run's lease: a wide layer's neurons are at work for longer than it lasts, and the Trainer is not."""
    try:
        services.ledger.renew(message.run_id, message.generation)
    except LnnError as error:
        logger.warning("the lease was not renewed; another neuron will try", extra={"reason": str(error)})


def work(server: ParameterServer, invoker: Invoker, message: Message, window: int, *marks: Mark) -> Arrival:
    """Do one neuron's part of one step and move the run along.

    ``window`` is the most neurons of a step in flight at once, 0 for no limit; ``marks`` go into the run's timeline.
    Raises CacheLost, or StaleStep.
    """
    begun = time.perf_counter()
    neuron = message.neuron
    if neuron is None:
        raise ValueError("a message to a neuron says which one it is")
    barrier = Barrier(server)
    asked = Step.of(message)
    step, recorded = barrier.look(asked)
    if not step.is_named_by(asked):
        if recorded:
            barrier.record_late(asked, neuron, (time.perf_counter() - begun) * 1000, *marks)
        return Arrival(ArrivalStatus.STALE)
    with barrier.abandoned_if_lost(step):
        fill = server.fill(step.fill)
        plan = plan_of(fill)
        if not plan.timeline:
            barrier = barrier.unrecorded()
        compute = {"forward": forward, "backward": backward, "update": update}[step.direction]
        # A training that diverges overflows on its way; its cost will say so.
        with np.errstate(over="ignore", invalid="ignore"), barrier.failure_recorded(step, neuron, *marks):
            rows = compute(fill, plan, step, neuron)
        arrival = barrier.arrive(step, neuron, rows, (time.perf_counter() - begun) * 1000, window, *marks)
    if arrival.status is ArrivalStatus.STALE:
        barrier.record_late(step, neuron, (time.perf_counter() - begun) * 1000, *marks)
        return arrival
    if arrival.following is not None:
        invoker.invoke_neuron(step.message(message.run_id, arrival.following))
    if arrival.status is ArrivalStatus.COMPLETE:
        invoker.invoke_trainer(step.message(message.run_id))
    return arrival


def forward(fill: ParameterServer, plan: Layout, step: Step, neuron: int) -> list[Row]:
    """The neuron's row of A, (1, m), and of what else the backward step needs; in the output layer, whose activation
    may need all units, of the logits Z.
    """
    (weights, *_), (biases, *_) = plan.parameter_keys(step.layer, plan.updates_before(step))
    W, b = fill.get_rows([weights, biases], neuron)
    Z = linear_forward(W, b, previous_activations(fill, plan, step))
    if step.layer == plan.layers:
        return [(plan.output_key(step), Z)]
    activation = ACTIVATIONS[plan.activations[step.layer - 1]]
    A = activation.apply(Z)
    rows = {
        plan.kept_key(step.layer, step): activation.kept(Z, A),
        plan.output_key(step): dropped_out(A, plan.mask_row(step, step.layer, neuron)),
    }
    return list(rows.items())  # one row, where both have one key


def backward(fill: ParameterServer, plan: Layout, step: Step, neuron: int) -> list[Row]:
    """The neuron's row of dZ (but for the output layer, where the Trainer has it), and its updated parameters.

    Where gradients are clipped, in place of these the sum of the squares of its gradient.
    """
    layer, updates = step.layer, plan.updates_before(step)
    weights, biases = plan.parameter_keys(layer, updates)
    rows: list[Row] = []
    if layer == plan.layers:
        *parameters, dZ = fill.get_rows([*weights, *biases, plan.delta_key(layer, step)], neuron)
    else:
        *parameters, kept = fill.get_rows([*weights, *biases, plan.kept_key(layer, step)], neuron)
        (weights_next, *_), _ = plan.parameter_keys(layer + 1, updates)
        dZ = propagate_delta(
            fill.get_column(weights_next, neuron),
            fill.get(plan.delta_key(layer + 1, step)),
            kept,
            plan.activations[layer - 1],
            plan.mask_row(step, layer, neuron),
        )
        rows.append((plan.delta_key(layer, step), dZ))
    if plan.clip_norm is None:
        return [*rows, *updated(fill, plan, step, parameters, dZ)]
    gradients = linear_backward(dZ, previous_activations(fill, plan, step), parameters[0], plan.l2)
    return [*rows, (plan.squares_key(layer, step), np.array([[sum(map(sum_of_squares, gradients))]]))]


def update(fill: ParameterServer, plan: Layout, step: Step, neuron: int) -> list[Row]:
    """The neuron's updated parameters, by its gradient times the factor that clips all of them."""
    weights, biases = plan.parameter_keys(step.layer, plan.updates_before(step))
    *parameters, dZ = fill.get_rows([*weights, *biases, plan.delta_key(step.layer, step)], neuron)
    factor = float(fill.get(plan.factor_key(step))[0, 0])
    return updated(fill, plan, step, parameters, dZ, factor)


def updated(
    fill: ParameterServer, plan: Layout, step: Step, parameters: Sequence[Array], dZ: Array, factor: float = 1.0
) -> list[Row]:
    """A neuron's rows of W and b with the optimizer's slots after the update by its gradient times ``factor``.

    ``parameters`` are these rows before it.
    """
    t = plan.updates_before(step) + 1
    new_weights, new_biases = plan.parameter_keys(step.layer, t)
    W, *slots_W = (row.copy() for row in parameters[: len(new_weights)])
    b, *slots_b = (row.copy() for row in parameters[len(new_weights) :])
    dW, db = linear_backward(dZ, previous_activations(fill, plan, step), W, plan.l2)
    if factor != 1.0:
        dW *= factor
        db *= factor
    optimizer = plan.update_rule_at(t)
    optimizer.update_weights(W, dW, slots_W, t)
    optimizer.update(b, db, slots_b, t)
    return [*zip(new_weights, [W, *slots_W], strict=True), *zip(new_biases, [b, *slots_b], strict=True)]


def previous_activations(fill: ParameterServer, plan: Layout, step: Step) -> Array:
    """A of the layer before, (units, m); for the first layer, the batch's examples (n, m).

    The training set is fetched once for each warm environment.
    """
    if step.layer > 1:
        activations: Array = fill.get(plan.activation_key(step.layer - 1, step))
        return activations
    if fill.prefix not in _inputs:
        _inputs.clear()
        _inputs[fill.prefix] = fill.get(plan.input_key()).T
    batch = plan.batches(step.epoch)[step.batch] if plan.batches_per_epoch > 1 else None
    return take_examples(_inputs[fill.prefix], batch)


def plan_of(fill: ParameterServer) -> Layout:
    """The run's plan, fetched once for each warm environment. Raises CacheLost."""
    if fill.prefix not in _plans:
        _plans.clear()
        _plans[fill.prefix] = Layout.parse(fill.get(PLAN_KEY))
    return _plans[fill.prefix]
