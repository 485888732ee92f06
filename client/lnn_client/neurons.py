"""One neuron of a run, in numbers: its weights, what it answers to examples, and its gradient."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lnn.network import linear_forward, output_delta, propagate_delta
from lnn_client.errors import ClientError
from lnn_client.invocations import Recorded, of_invocation
from lnn_client.logs import events, parsed, written_at

if TYPE_CHECKING:
    from lnn.data.in_memory import TrainingData
    from lnn.job.plan import Plan
    from lnn.network.types import Array, Parameters, Targets
    from lnn.runs.record import Run
    from lnn_client.cloud import Cloud

MOST_PROBES = 12
"""Examples that are shown where none were asked for."""

CHUNK_EXAMPLES = 4096
"""Examples that the gradient is computed for at once: memory holds every layer's activations for them."""

_MARGIN_MILLISECONDS = 120_000
"""Clocks differ, and logs arrive some time after what they tell of."""


@dataclass(frozen=True, slots=True)
class OfExample:
    """What a neuron has for one training example."""

    index: int
    """From 0, in the order of the training examples that the run has stored: without those held out for validation."""
    label: str | float | list[float]
    z: float
    a: float
    dz: float
    """Derivative of the example's own cost with respect to z; ``dw`` and ``db`` are means over the examples."""


@dataclass(frozen=True, slots=True)
class Neuron:
    """A neuron's numbers, with the parameters after ``epoch``; layers and neurons count from 1.

    All examples count, whatever the batch size, and no output is dropped: so the network answers after that epoch.
    """

    layer: int
    neuron: int
    epoch: int
    activation: str
    w: Array
    """(units of the layer before,)"""
    b: float
    dw: Array
    """The gradient of the cost, L2's part included, before any clipping; as ``w``."""
    db: float
    examples: list[OfExample]


class OfLayer(NamedTuple):
    """What a layer has for m examples."""

    before: Array
    """A of the layer before, (units there, m)"""
    Z: Array
    A: Array
    dZ: Array  # noqa: N815 - the name in every formula
    """(units, m), of each example's own cost"""


def quiet() -> np.errstate:
    """Let numpy overflow: the numbers of a run that diverged are infinite, or none."""
    return np.errstate(over="ignore", invalid="ignore")


class Neurons:
    """The neurons of one run after one of its epochs."""

    def __init__(self, plan: Plan, data: TrainingData, parameters: Parameters, epoch: int) -> None:
        self.epoch, self._plan, self._data, self._parameters = epoch, plan, data, parameters

    @quiet()
    def neuron(self, layer: int, neuron: int, examples: Sequence[int]) -> Neuron:
        """The numbers of one neuron, for some of the training examples.

        Raises:
            ClientError: there is no such layer, neuron or example.
        """
        plan, row = self._plan, neuron - 1
        _check(f"layer {layer}", layer, 1, plan.layers)
        _check(f"neuron {neuron} in layer {layer}", neuron, 1, plan.sizes[layer])
        for index in examples:
            _check(f"example {index}", index, 0, plan.examples - 1)
        W, b = self._parameters[layer - 1]
        dw, db = self._gradient(layer, row)
        chosen = np.array(examples, np.int64)
        _, Z, A, dZ = layers_of(plan, self._parameters, self._data.X[:, chosen], self._data.Y[:, chosen])[layer - 1]
        return Neuron(
            *(layer, neuron, self.epoch, plan.activations[layer - 1]),
            *(W[row], float(b[row, 0]), dw + plan.l2 / plan.examples * W[row], db),
            [
                # + 0.0 makes 0 of -0, which says nothing to anybody.
                OfExample(index, label_of(plan, self._data.y, index), float(z), float(a), float(dz) + 0.0)
                for index, z, a, dz in zip(examples, Z[row], A[row], dZ[row], strict=True)
            ],
        )

    def _gradient(self, layer: int, row: int) -> tuple[Array, float]:
        """The gradient, means over all examples: dw without L2's part, (units of the layer before,), and db."""
        m = self._plan.examples
        dw, db = np.zeros_like(self._parameters[layer - 1][0][row]), 0.0
        for start in range(0, m, CHUNK_EXAMPLES):
            some = slice(start, start + CHUNK_EXAMPLES)
            of_layer = layers_of(self._plan, self._parameters, self._data.X[:, some], self._data.Y[:, some])[layer - 1]
            dw += of_layer.before @ of_layer.dZ[row] / m
            db += float(of_layer.dZ[row].sum()) / m
        return dw, db


def layers_of(plan: Plan, parameters: Parameters, X: Array, Y: Array) -> list[OfLayer]:
    """What every layer has for the examples X (n, m) with labels Y (units of the output, m)."""
    network = plan.network
    with quiet():
        passed = network.forward(parameters, X)
        deltas = [output_delta(passed.A[-1], Y, network.loss)]
        for layer in range(len(parameters) - 1, 0, -1):
            (W, _), activation = parameters[layer], network.activations[layer - 1]
            deltas.insert(0, propagate_delta(W, deltas[0], passed.kept[layer - 1], activation))
        Zs = [linear_forward(W, b, before) for (W, b), before in zip(parameters, passed.A[:-1], strict=True)]
    return [OfLayer(*of_layer) for of_layer in zip(passed.A[:-1], Zs, passed.A[1:], deltas, strict=True)]


def probe_examples(plan: Plan, y: Targets) -> list[int]:
    """Indices of up to ``MOST_PROBES`` training examples: as many of each class as of any other, drawn by the seed."""
    rng = np.random.default_rng(plan.seed)
    classes = np.zeros(len(y), np.int64) if plan.targets else np.asarray(y)
    drawn = [rng.permutation(np.flatnonzero(classes == label)) for label in np.unique(classes)]
    most = min(MOST_PROBES, len(y))
    in_turn = (of_class[turn] for turn in range(most) for of_class in drawn if turn < len(of_class))
    return sorted(int(index) for index, _ in zip(in_turn, range(most), strict=False))


def label_of(plan: Plan, y: Targets, index: int) -> str | float | list[float]:
    """The class's name; of regression the number, or the numbers."""
    if not plan.targets:
        return plan.list_classes[int(y[index])]
    numbers: list[float] = y[index].tolist()
    return numbers[0] if len(numbers) == 1 else numbers


def invocations_of(cloud: Cloud, run: Run, layer: int, neuron: int, epoch: int) -> list[dict[str, Any]]:
    """The invocations in which a neuron worked on an epoch, in order, as the run has recorded them.

    Each has ``start`` in epoch seconds, ``seconds``, ``state``, ``generation``, ``batch``, ``attempt``, ``cold``,
    ``failed``, ``memory_mb``, ``late`` and ``missed`` (see ``Invocation``). Those of a release that recorded none come
    from the function's log, as far as that tells of them, with what it tells.
    """
    recorded = Recorded(cloud, run.run_id).of_epoch(epoch)
    if not recorded:
        return _logged(cloud, run, layer, neuron, epoch)
    return [of_invocation(one) for one in recorded if (one.layer, one.neuron) == (layer, neuron)]


def _logged(cloud: Cloud, run: Run, layer: int, neuron: int, epoch: int) -> list[dict[str, Any]]:
    place = {"run_id": run.run_id, "epoch": epoch, "layer": layer, "neuron": neuron}
    conditions = (f"($.{name} = {json.dumps(value)})" for name, value in place.items())
    found = []
    for event in events(
        cloud,
        "neuron",
        f"{{ {' && '.join(conditions)} }}",
        startTime=int(run.created_at * 1000) - _MARGIN_MILLISECONDS,
    ):
        line = parsed(event["message"])
        # The local cloud finds every line, whatever a pattern says of fields.
        if "elapsed_seconds" not in line or any(line.get(name) != value for name, value in place.items()):
            continue
        seconds = float(line["elapsed_seconds"])
        start = written_at(line, event["timestamp"] / 1000) - seconds
        found.append({"start": start, "seconds": seconds, "state": line.get("state"), "generation": line["generation"]})
    return sorted(found, key=lambda one: float(one["start"]))


def _check(what: str, found: int, lowest: int, highest: int) -> None:
    if not lowest <= found <= highest:
        raise ClientError(f"there is no {what}; expected {lowest} to {highest}")
