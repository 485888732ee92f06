"""``lnn neuron``: one neuron in numbers."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnn_cli.options import (
    ForceOption,
    HtmlOption,
    JsonOption,
    PrefixOption,
    RegionOption,
    RunArgument,
    TargetOption,
    connect,
)
from lnn_cli.ui.console import note, number, output, print_json, print_pairs, print_table, say
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_client.cloud import LATEST, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lnn.job.plan import Plan
    from lnn.runs.record import Run
    from lnn_client.cloud import Cloud
    from lnn_client.neurons import Neuron

MOST_COLUMNS = 40
"""Pixels in a row of a picture that is shown: each takes two characters."""

MOST_WEIGHTS = 16
"""Weights that are printed one by one; of more, the largest."""


def neuron(
    run: RunArgument = LATEST,
    layer: Annotated[int, typer.Option(min=1, help="From 1, as in parameters.json.")] = 1,
    neuron: Annotated[int, typer.Option(min=1, help="From 1.")] = 1,
    epoch: Annotated[
        int | None, typer.Option(min=0, show_default=False, help="After so many; 0 is the start (default: all).")
    ] = None,
    example: Annotated[
        list[int] | None,
        typer.Option(
            min=0, show_default=False, help="Index of a training example; repeatable (default: some of each)."
        ),
    ] = None,
    html: HtmlOption = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Show one neuron: weights, gradient, and z, a, dz of examples.

    The numbers are those of the network after an epoch, for all training
    examples: dz belongs to one example, dw and db are means over all, before
    clipping; nothing is dropped. They are computed here, from the run's own
    examples and checkpoints, and compared with its history.

    Example: lnn neuron latest --layer 1 --neuron 3 --epoch 10
    """
    if html is not None:
        refuse_to_replace(html, force=force)
    from lnn_client.invocations import NOT_RECORDED
    from lnn_client.neurons import Neurons, invocations_of, probe_examples
    from lnn_client.replay import Replay

    cloud = connect(target, prefix, region)
    found = cloud.find_run(run)
    if html is not None:
        say(_saved(cloud, found, html, (layer, neuron), example or [], epoch))
        return
    replay = Replay(cloud, found)
    chosen = probe_examples(replay.plan, replay.data.y) if example is None else example
    after = found.epoch if epoch is None else epoch
    numbers = Neurons(replay.plan, replay.data, replay.parameters(after), after).neuron(layer, neuron, chosen)
    one_each = found.strategy == "neuron" and numbers.epoch > 0
    invocations = invocations_of(cloud, found, layer, neuron, numbers.epoch) if one_each else []
    if as_json:
        arrays = {name: getattr(numbers, name).tolist() for name in ("w", "dw")}
        worked = {"invocations": invocations, "invocations_recorded": found.records_invocations}
        print_json({"run_id": found.run_id, **asdict(numbers), **arrays, **worked})
        return
    _print(numbers, found.run_id, replay.plan, replay.features if layer == 1 else [])
    if one_each:
        took = ", ".join(map(_invocation, invocations)) or "none is known"
        source = "" if found.records_invocations else f" (from the functions' logs: {NOT_RECORDED})"
        note(f"its invocations in epoch {numbers.epoch}: {took}{source}")


def _saved(cloud: Cloud, run: Run, path: Path, place: tuple[int, int], examples: list[int], epoch: int | None) -> str:
    """Writes the page with one epoch, open at the neuron; returns the file's name and size."""
    from lnn_cli.view.saved import Chosen, saved_view
    from lnn_client.inspection import Inspection

    inspection, after = Inspection(cloud, run), run.epoch if epoch is None else epoch
    inspection.neuron(after, *place, examples)  # says what there is not
    return write_whole(
        path, saved_view(inspection, now=time.time(), epoch=after, chosen=Chosen(*place, examples)).encode()
    )


def _invocation(one: Mapping[str, Any]) -> str:
    if one.get("missed"):
        return f"{one['state']} (never arrived)"
    odd = [
        name
        for name, is_so in (("failed", one.get("failed")), ("late", one.get("late")), ("cold start", one.get("cold")))
        if is_so
    ]
    if one.get("attempt", 1) > 1:
        odd.append("repeat")
    marked = f" ({', '.join(odd)})" if odd else ""
    return f"{one['state']} {one['seconds'] * 1000:.1f} ms{marked}"


def _print(numbers: Neuron, run_id: str, plan: Plan, names: Sequence[str]) -> None:
    from lnn_cli.ui.blocks import PLAIN_POSITIVE, POSITIVE, blocks, legend

    w = numbers.w
    print_pairs(
        (
            ("run", run_id),
            ("neuron", f"{numbers.neuron} of layer {numbers.layer}, after epoch {numbers.epoch}"),
            ("formula", f"z = w x + b, a = {numbers.activation}(z)"),
            ("b", f"{number(numbers.b, 6)}   db {number(numbers.db, 6)}"),
            ("w", f"{len(w)} weights, {number(float(w.min()))} to {number(float(w.max()))}"),
        )
    )
    shape = plan.image_shape if numbers.layer == 1 else None
    if shape is not None and shape[2:] in ([], [1]) and shape[1] <= MOST_COLUMNS:
        positive = PLAIN_POSITIVE if output().options.ascii_only else POSITIVE
        for name, values in (("w", w), ("dw", numbers.dw)):
            say(f"\n{name}, {legend(positive)}")
            for line in blocks(values.reshape(shape[:2]), positive):
                say(line)
    shown = sorted(range(len(w)), key=lambda place: -abs(w[place]))[:MOST_WEIGHTS]
    if len(w) > MOST_WEIGHTS:
        note(f"the {MOST_WEIGHTS} largest of {len(w)} weights; all of them: --json")
    say("")
    print_table(
        ("input", "w", "dw"),
        (
            (
                names[place] if names else str(place + 1),
                number(float(w[place]), 6),
                number(float(numbers.dw[place]), 6),
            )
            for place in sorted(shown)
        ),
        right=("w", "dw") if names else ("input", "w", "dw"),
    )
    say("")
    print_table(
        ("example", "label", "z", "a", "dz"),
        (
            (str(one.index), _label(one.label), *(number(value, 6) for value in (one.z, one.a, one.dz)))
            for one in numbers.examples
        ),
        right=("example", "z", "a", "dz"),
    )


def _label(label: str | float | list[float]) -> str:
    values = label if isinstance(label, list) else [label]
    return ", ".join(value if isinstance(value, str) else number(value) for value in values)
