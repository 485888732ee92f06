"""A run's network as one HTML file, with its slider, to be kept and passed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn_cli.ui.console import moment, size
from lnn_cli.view.bundle import one_file
from lnn_client.errors import ClientError
from lnn_client.inspection import epochs_shown
from lnn_client.json_types import encoded, rounded

if TYPE_CHECKING:
    from lnn_client.inspection import Answer, Inspection

MOST_BYTES = 10_000_000
"""Of a file: mail takes it, and a browser reads it at once."""
SIDE = 20
"""Points along each side of a plane of two features: a quarter of those that a server answers."""
FEWEST_EPOCHS = 12
"""With fewer, epochs are worth more than the gradients and histograms of every neuron."""
MOST_ROWS = 600
"""Of the history: its curves are so many points wide."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a file shows when it is opened."""

    layer: int
    neuron: int
    examples: Sequence[int] = ()


def saved_view(
    inspection: Inspection,
    *,
    now: float,
    most_bytes: int = MOST_BYTES,
    epoch: int | None = None,
    chosen: Chosen | None = None,
) -> str:
    """The page in HTML, complete in itself: of ``epoch`` alone, else of as many epochs as ``most_bytes`` have room for.

    Numbers have five digits. ``now`` is in epoch seconds. Where a network has too many neurons, the file has no
    gradients and histograms.

    Raises:
        ClientError: not even two epochs fit.
    """
    run = inspection.overview()
    shown: list[int] = run["epochs_shown"] if epoch is None else [epoch]
    probes = [*(chosen.examples if chosen else ()), *(probe["index"] for probe in run["probes"])]
    indices = list(dict.fromkeys(probes))
    examples = {index: inspection.example(shown[-1], index) for index in indices}
    fixed: dict[str, Any] = {
        "run": {
            **run,
            "has_ended": True,  # as far as this file is concerned
            "saved": True,
            "epochs_shown": shown,
            "probes": [{"index": index, "label": examples[index]["label"]} for index in indices],
            "history": _thinned(run["history"], set(shown)),
        },
        "inputs": {index: example["x"] for index, example in examples.items()},
        "points": inspection.plane(shown[-1], SIDE)["points"] if run["sizes"][0] == 2 else None,
    }
    if chosen is not None:
        first = f"&example={indices[0]}" if indices else ""
        fixed["start"] = f"#epoch={shown[-1]}{first}&neuron={chosen.layer},{chosen.neuron}"
    room = most_bytes - len(one_file(encoded(rounded(fixed))))
    for detailed in (True, False):
        of_one = len(encoded(rounded(_frame(inspection, shown[-1], indices, detailed=detailed))))
        most = max(0, room) // of_one
        if most >= min(len(shown), FEWEST_EPOCHS):
            break
    while True:
        if most < min(2, len(shown)):
            raise ClientError(f"an epoch of this network takes {size(of_one)}, and a file may have {size(most_bytes)}")
        kept = shown if most >= len(shown) else epochs_shown(shown[-1], most - 2)
        frames = {one: rounded(_frame(inspection, one, indices, detailed=detailed)) for one in kept}
        fixed["run"]["epochs_shown"] = kept
        fixed["said"] = _said(now, epoch, len(kept), len(shown), detailed=detailed)
        html = one_file(encoded({**rounded(fixed), "frames": frames}))
        if len(html.encode()) <= most_bytes:
            return html
        most = min(most, len(kept)) - 1  # other epochs took more than the last one


def _said(now: float, epoch: int | None, kept: int, shown: int, *, detailed: bool) -> str:
    epochs = f"epoch {epoch}" if epoch is not None else f"{kept} of the {shown} epochs that lnn view shows"
    left_out = "" if detailed else " Gradients and histograms would not fit into it."
    return f"Saved on {moment(now)}, with {epochs}, numbers with five digits. The file is complete in itself.{left_out}"


def _frame(inspection: Inspection, epoch: int, indices: Sequence[int], *, detailed: bool) -> Answer:
    def without(answer: Answer, name: str) -> Answer:
        return {key: value for key, value in answer.items() if key != name}

    found: Answer = {
        "epoch": inspection.epoch(epoch),
        "examples": {index: without(inspection.example(epoch, index), "x") for index in indices},
    }
    if inspection.plan.sizes[0] == 2:
        found["plane"] = without(inspection.plane(epoch, SIDE), "points")
    if detailed and all(layer["weights"] is not None for layer in found["epoch"]["layers"]):
        found["layers"] = inspection.layers(epoch)
    return found


def _thinned(history: list[Answer], needed: set[int]) -> list[Answer]:
    if len(history) <= MOST_ROWS:
        return history
    places = set(np.linspace(0, len(history) - 1, MOST_ROWS).round().astype(int).tolist())
    return [row for place, row in enumerate(history) if place in places or row["epoch"] in needed]
