"""A run's network to be looked at: any epoch, any neuron, any example, and what would be if something were changed.

Everything is computed here from what the run has stored (``lnn_client.replay``); nothing is written, but that a stepped
run may take its next step. The answers are of numbers and arrays; ``lnn_client.json_types.encoded`` makes JSON of them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.job.hyperparameters import SNAPSHOTS
from lnn.network import predicted_classes
from lnn_client.errors import ClientError
from lnn_client.neurons import CHUNK_EXAMPLES, Neurons, label_of, layers_of, probe_examples, quiet
from lnn_client.replay import Replay
from lnn_client.stepping import next_step, step_of

if TYPE_CHECKING:
    from lnn.network.types import Array, Labels, Parameters
    from lnn.runs.record import Run
    from lnn_client.cloud import Cloud
    from lnn_client.neurons import OfLayer

Answer = dict[str, Any]

MOST_WEIGHTS = 100_000
"""Of a layer's weights that an epoch's answer has; a larger layer shows its neurons one by one."""
MOST_FEATURES = 20_000
"""Of an example's features that an answer has."""
KEPT_BYTES = 64 * 2**20
"""Of parameters of epochs that were looked at."""
SIDE = 40
"""Points along each side of a plane of two features."""
BINS = 24
SATURATED = 0.01
"""A sigmoid or tanh closer than this to its bounds hardly learns."""


class Inspection:
    """One run, while it trains and afterwards.

    Raises:
        RunStateError: Launch has not prepared the run.
        CannotReplay: its training cannot be computed again; see ``Replay``.
    """

    def __init__(self, cloud: Cloud, run: Run) -> None:
        self._cloud, self._run_id = cloud, run.run_id
        self._replay = Replay(cloud, run)
        self.plan, self.data = self._replay.plan, self._replay.data
        self._kept: OrderedDict[int, Parameters] = OrderedDict()
        self._base_rate = run.base_rate("test")
        self._probes = [
            {"index": index, "label": label_of(self.plan, self.data.y, index)}
            for index in probe_examples(self.plan, self.data.y)
        ]

    def overview(self, after: int = 0) -> Answer:
        """The run as it is now, what it has recorded, and which epochs and examples are worth a look.

        While the run goes on, ``history`` begins after the epoch ``after``, else with the first: ``history_after``
        says which. ``complete_to`` is the epoch up to which no row is missing, to be given as the next ``after``.
        """
        run, plan = self._replay.follow(), self.plan
        after = 0 if run.has_ended else after
        score = "r2" if plan.targets else "accuracy"
        return {
            "run_id": run.run_id,
            "status": run.status,
            "has_ended": run.has_ended,
            "step": step_of(run),
            "strategy": plan.strategy,
            "records_invocations": run.records_invocations,
            "epoch": run.epoch,
            "epochs": run.epochs,
            "sizes": plan.sizes,
            "activations": plan.activations,
            "classes": plan.list_classes,
            "targets": plan.list_targets,
            "image_shape": plan.image_shape,
            "features": self._replay.features,
            "base_rate": self._base_rate,
            "history": [
                {
                    "epoch": row.epoch,
                    "cost": row.cost,
                    "train": getattr(row, f"train_{score}"),
                    "test": getattr(row, f"test_{score}"),
                }
                for row in self._replay.history
                if row.epoch > after
            ],
            "history_after": after,
            "complete_to": self._replay.complete_to,
            "epochs_shown": epochs_shown(run.epoch, run.settings.get("snapshots", SNAPSHOTS)),
            "probes": self._probes,
        }

    def next_step(self, expected: int) -> Answer:
        """Let a stepped run take its next step; nothing where it may take other than the ``expected`` steps by now.

        Raises:
            RunStateError: the run takes no steps.
        """
        run = next_step(self._cloud, self._run_id, expected=expected)
        return {"allowed": run.steps_allowed}

    @quiet()
    def epoch(self, epoch: int) -> Answer:
        """The parameters after an epoch, and what each neuron does over the training set."""
        parameters = self._parameters(epoch)
        return {
            "epoch": epoch,
            "layers": [
                {
                    "weights": W if W.size <= MOST_WEIGHTS else None,
                    "biases": b[:, 0],
                    "largest": np.abs(W).max(),
                    **of_layer,
                }
                for (W, b), of_layer in zip(parameters, self._over_training_set(parameters), strict=True)
            ],
        }

    @quiet()
    def example(self, epoch: int, index: int) -> Answer:
        """What every neuron has for one training example."""
        return {"epoch": epoch, **self._example(self._parameters(epoch), index)}

    @quiet()
    def neuron(self, epoch: int, layer: int, neuron: int, examples: Sequence[int]) -> Answer:
        """The numbers of one neuron, and how its z is distributed over the training set."""
        parameters = self._parameters(epoch)
        found = Neurons(self.plan, self.data, parameters, epoch).neuron(layer, neuron, examples)
        Z = np.concatenate([layers[layer - 1].Z[neuron - 1] for layers in self._chunks(parameters)])
        named = {field.name: getattr(found, field.name) for field in fields(found)}
        return {**named, "histogram": _histogram(Z)}

    @quiet()
    def layers(self, epoch: int) -> list[Answer]:
        """What ``neuron`` has of one, of every neuron of each layer: gradients, and histograms of z."""
        parameters, plan = self._parameters(epoch), self.plan
        m = plan.examples
        dWs = [plan.l2 / m * W for W, _ in parameters]
        dbs = [np.zeros(len(W)) for W, _ in parameters]
        Zs: list[list[Array]] = [[] for _ in parameters]
        for chunk in self._chunks(parameters):
            for place, of in enumerate(chunk):
                dWs[place] += of.dZ @ of.before.T / m
                dbs[place] += of.dZ.sum(axis=1) / m
                Zs[place].append(of.Z)
        return [
            {"dw": dW, "db": db, "histograms": [_histogram(z) for z in np.concatenate(Z, axis=1)]}
            for dW, db, Z in zip(dWs, dbs, Zs, strict=True)
        ]

    @quiet()
    def plane(self, epoch: int, side: int = SIDE) -> Answer:
        """What every neuron answers over the plane of two features, and where the training examples lie.

        ``side`` is the number of points along each side.

        Raises:
            ClientError: the examples have other than two features.
        """
        X, plan = self.data.X, self.plan
        if plan.sizes[0] != 2:
            raise ClientError(f"examples with {plan.sizes[0]} features lie in no plane; expected 2")
        low, high = X.min(axis=1), X.max(axis=1)
        margin = (high - low) / 10
        x, y = (np.linspace(start, stop, side) for start, stop in zip(low - margin, high + margin, strict=True))
        grid = np.stack([of.ravel() for of in np.meshgrid(x, y)]).astype(plan.dtype)
        passed = plan.network.forward(self._parameters(epoch), grid)
        return {
            "epoch": epoch,
            "x": x[[0, -1]],
            "y": y[[0, -1]],
            "side": side,
            "layers": passed.A[1:],
            "points": [
                {"x": float(X[0, index]), "y": float(X[1, index]), "label": label_of(plan, self.data.y, index)}
                for index in range(X.shape[1])
            ],
        }

    @quiet()
    def what_if(
        self, epoch: int, index: int, off: Sequence[tuple[int, int]], weights: Sequence[Mapping[str, Any]]
    ) -> Answer:
        """The answer for an example and the scores, were some hidden neurons off and some weights others.

        ``off`` has layers and neurons; ``weights`` ``layer``, ``neuron``, ``input`` (0 is the bias) and ``value``.

        Raises:
            ClientError: there is no such neuron or weight; or a neuron of the output is to be off.
        """
        before = self._parameters(epoch)
        changed = [(W.copy(), b.copy()) for W, b in before]
        for change in weights:
            self._check(change["layer"], change["neuron"])
            W, b = changed[change["layer"] - 1]
            if not 0 <= change["input"] <= W.shape[1]:
                raise ClientError(f"there is no input {change['input']}; expected 0, the bias, to {W.shape[1]}")
            row, column = change["neuron"] - 1, change["input"] - 1
            (b if column < 0 else W)[row, max(column, 0)] = change["value"]
        for layer, neuron in off:
            self._check(layer, neuron)
            if layer == self.plan.layers:
                raise ClientError("a neuron of the output layer cannot be off: it is an answer")
            changed[layer][0][:, neuron - 1] = 0  # nobody hears it
        found = self._example(changed, index)
        for layer, neuron in off:
            found["layers"][layer - 1]["a"][neuron - 1] = 0.0
        return {"epoch": epoch, **found, **self._scores(changed), "before": self._scores(before)}

    def _example(self, parameters: Parameters, index: int) -> Answer:
        if not 0 <= index < self.plan.examples:
            raise ClientError(f"there is no example {index}; expected 0 to {self.plan.examples - 1}")
        x, y = self.data.X[:, [index]], self.data.Y[:, [index]]
        layers = layers_of(self.plan, parameters, x, y)
        output = layers[-1].A
        label = label_of(self.plan, self.data.y, index)
        if self.plan.targets:
            answer: Any = output[:, 0] if len(output) > 1 else output[0, 0]
        else:
            answer = self.plan.list_classes[int(predicted_classes(output)[0])]
        return {
            "index": index,
            "label": label,
            "x": x[:, 0] if len(x) <= MOST_FEATURES else None,
            "layers": [{"z": of.Z[:, 0], "a": of.A[:, 0], "dz": of.dZ[:, 0]} for of in layers],
            "answer": answer,
            "right": None if self.plan.targets else answer == label,
        }

    def _over_training_set(self, parameters: Parameters) -> list[Answer]:
        m = self.plan.examples
        sums: list[Array] = []
        for layers in self._chunks(parameters):
            found = [
                np.stack([of.A.sum(axis=1), np.square(of.A).sum(axis=1), (of.Z > 0).sum(axis=1), saturated(of.A, name)])
                for of, name in zip(layers, self.plan.activations, strict=True)
            ]
            sums = found if not sums else [one + other for one, other in zip(sums, found, strict=True)]
        return [
            {
                "mean": total / m,
                "spread": np.sqrt(np.maximum(0.0, squares / m - np.square(total / m))),
                "active": active / m,
                "saturated": at_a_bound / m,
            }
            for total, squares, active, at_a_bound in sums
        ]

    def _chunks(self, parameters: Parameters) -> Iterator[list[OfLayer]]:
        """``layers_of`` all training examples, so many at a time that memory holds their activations."""
        X, Y = self.data.X, self.data.Y
        for start in range(0, self.plan.examples, CHUNK_EXAMPLES):
            some = slice(start, start + CHUNK_EXAMPLES)
            yield layers_of(self.plan, parameters, X[:, some], Y[:, some])

    def _scores(self, parameters: Parameters) -> Answer:
        plan, data, score = self.plan, self.data, "r2" if self.plan.targets else "accuracy"
        train = plan.scores("train", plan.network.tally(parameters, data.X, data.y))
        test = plan.scores("test", plan.network.tally(parameters, data.X_test, data.y_test))
        return {"train": train.get(f"train_{score}"), "test": test.get(f"test_{score}")}

    def _parameters(self, epoch: int) -> Parameters:
        if epoch in self._kept:
            self._kept.move_to_end(epoch)
            return self._kept[epoch]
        found = self._replay.parameters(epoch)
        size = sum(W.nbytes + b.nbytes for W, b in found)
        self._kept[epoch] = found
        while len(self._kept) > max(1, KEPT_BYTES // size):
            self._kept.popitem(last=False)
        return found

    def _check(self, layer: int, neuron: int) -> None:
        sizes = self.plan.sizes
        if not (1 <= layer < len(sizes) and 1 <= neuron <= sizes[layer]):
            raise ClientError(f"there is no neuron {neuron} in layer {layer}; the layers have {sizes[1:]} neurons")


def _histogram(z: Array) -> Answer:
    """Of z over the training set; values that are not finite are left out."""
    z = z[np.isfinite(z)]
    counts, edges = np.histogram(z, BINS) if len(z) else (np.zeros(1, int), np.zeros(2))
    return {"edges": edges, "counts": counts}


def epochs_shown(last: int, snapshots: int) -> list[int]:
    """The start, the last epoch, and up to so many between, evenly in their logarithm."""
    between = (
        {round(last ** (step / (snapshots + 1))) for step in range(snapshots + 1)} if last and snapshots else set()
    )
    return sorted({0, last, *between})


def saturated(A: Array, activation: str) -> Labels:
    """For how many examples each neuron is close to a bound of its activation, (units,); 0 where it has none."""
    bounds = {"tanh": (0.0, 1.0), "sigmoid": (0.5, 0.5)}
    if activation not in bounds:
        return np.zeros(len(A), np.int64)
    middle, reach = bounds[activation]
    counts: Labels = (np.abs(A - middle) > reach - SATURATED).sum(axis=1)
    return counts
