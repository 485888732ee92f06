"""``lnn evaluate``: how a model does on a dataset, and where it goes wrong."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from lnn_cli.commands.models import PRODUCTION, find_model
from lnn_cli.commands.predict import load_named
from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption
from lnn_cli.ui.console import note, print_json, print_pairs, print_table, share
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import Target, connect
from lnn_client.datasets import check_dataset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lnn.data.dataset import DatasetSummary
    from lnn.models.evaluation import Evaluation
    from lnn_client.cloud import Cloud

PARALLEL_CALLS = 4
BLOCK = 256
"""Examples that are predicted at once."""
SHOWN_CLASSES = 20


class Split(StrEnum):
    """Which examples of a dataset."""

    TEST = "test"
    TRAIN = "train"


def evaluate(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET.h5", help="Examples whose classes are known.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL|RUN|FILE",
            help="A registered model, `production`, `staging`, a run, `latest`, or a local params.h5; with --api a "
            "registered one. Default: latest; with --api what is in production.",
        ),
    ] = None,
    through_api: Annotated[bool, typer.Option("--api", help="Ask the prediction API, example by example.")] = False,
    split: Annotated[Split, typer.Option(help="Evaluate on these examples.")] = Split.TEST,
    worst: Annotated[int, typer.Option(min=0, help="Show at most so many of the worst mistakes.")] = 10,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Say how often a model is right, what it confuses, its worst errors.

    Example: lnn evaluate digits.h5 --model staging --json
    """
    from lnn.data.dataset import load_labels
    from lnn.models.evaluation import evaluate as judge

    summary = check_dataset(dataset)
    labels = load_labels(dataset)[0 if split is Split.TRAIN else 1]
    if through_api:
        cloud = connect(target, prefix, region)
        name, probabilities = _through_api(cloud, model, dataset, split, summary)
    else:
        name, probabilities = _locally(model or "latest", dataset, split, summary, target, prefix, region)
    found = judge(summary.classes, probabilities, labels, worst)
    if as_json:
        print_json(
            {"model": name, "dataset": str(dataset), "split": str(split), "examples": found.examples} | asdict(found)
        )
    else:
        _show(found, name, f"{dataset} ({split})")


def _locally(
    model: str,
    dataset: Path,
    split: Split,
    summary: DatasetSummary,
    target: Target,
    prefix: str | None,
    region: str | None,
) -> tuple[str, NDArray[Any]]:
    """The model's name, and its probabilities (K, m)."""
    import numpy as np

    from lnn.data.class_names import kept
    from lnn.models.inference import column_of_example, takes_pictures_of

    network = load_named(model, target, prefix, region)
    if network.features != summary.features or list(map(kept, network.list_classes)) != summary.classes:
        raise CliError(
            f"the model takes {network.features} features and knows {_names(network.list_classes)}; {dataset} has "
            f"{summary.features} features of {_names(list(summary.classes))}: choose the dataset it was trained for"
        )
    if network.scale != summary.scale and not takes_pictures_of(network, summary):
        raise CliError(
            f"the model learned from values divided by {network.scale:g}, and {dataset} ({summary.dtype}) is divided "
            f"by {summary.scale:g}: save it in the type and on the scale of the dataset that the model learned from"
        )
    parts = [
        network.predict_proba(np.stack([column_of_example(network, summary, example) for example in block], axis=1))
        for block in _blocks(dataset, split, summary)
    ]
    return network.run_id, np.concatenate(parts, axis=1)


def _through_api(
    cloud: Cloud, model: str | None, dataset: Path, split: Split, summary: DatasetSummary
) -> tuple[str, NDArray[Any]]:
    """The model's name, and the probabilities (K, m) that the API answers."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from lnn.data.class_names import kept
    from lnn_client.prediction_api import Api

    api = Api(cloud)
    # Named, so that no canary takes a share.
    model_id = find_model(cloud.registry, model or PRODUCTION)["model_id"]

    def ask(example: NDArray[Any]) -> list[float]:
        body, kind = _request(example, summary)
        answer = api.call("POST", f"predict?model={quote(model_id)}", body, kind).json()
        said = answer["probabilities"]
        said = {kept(name): probability for name, probability in said.items()}
        if set(said) != set(summary.classes):
            raise CliError(f"{model_id} knows {_names(list(said))}, and {dataset} has {_names(list(summary.classes))}")
        return [said[name] for name in summary.classes]

    examples = (example for block in _blocks(dataset, split, summary) for example in block)
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        return model_id, np.array(list(pool.map(ask, examples))).T


def _request(example: NDArray[Any], summary: DatasetSummary) -> tuple[bytes, str]:
    """An example as a user would send it: pictures as PNG, others as numbers."""
    from lnn.data.axis_order import is_picture
    from lnn.data.value_range import bytes_of

    shape = summary.image_shape
    if shape is not None and summary.value_range is not None and is_picture(shape):
        from PIL import Image

        buffer = io.BytesIO()
        pixels = bytes_of(example, summary.value_range).reshape(
            shape if len(shape) == 3 and shape[2] == 3 else shape[:2]
        )
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue(), "image/png"
    return json.dumps({"features": example.tolist()}).encode(), "application/json"


def _blocks(dataset: Path, split: Split, summary: DatasetSummary) -> Iterator[NDArray[np.generic]]:
    """The examples as they are stored, (up to BLOCK, n) at a time."""
    from lnn.data.dataset import feature_shards

    for block in feature_shards(dataset, f"{split}_set_x", summary.features, BLOCK):
        yield block.copy()


def _names(classes: list[str]) -> str:
    return f"{len(classes)} classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''})"


def _show(found: Evaluation, model: str, dataset: str) -> None:
    print_pairs(
        [
            ("model", model),
            ("dataset", dataset),
            ("accuracy", f"{share(found.accuracy)} of {found.examples} examples"),
        ]
    )
    if len(found.classes) <= SHOWN_CLASSES:
        typer.echo("\nconfusion: rows are true classes, columns predicted ones")
        rows = [[name, *map(str, counts)] for name, counts in zip(found.classes, found.confusion, strict=True)]
        print_table(("", *found.classes), rows, right=found.classes)
    else:
        note(f"the confusion matrix of {len(found.classes)} classes is in --json")
    if found.mistakes:
        typer.echo("\nworst mistakes")
        rows = [
            [str(m.example), m.label, m.predicted, share(m.probability), share(m.probability_of_label)]
            for m in found.mistakes
        ]
        headings = ("example", "true", "predicted", "p(predicted)", "p(true)")
        print_table(headings, rows, right=("example", "p(predicted)", "p(true)"))
