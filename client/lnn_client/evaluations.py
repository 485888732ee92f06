"""What a model predicts for the examples of a dataset: computed here, or asked of the prediction API."""

import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from lnn.data.axis_order import is_picture
from lnn.data.class_names import kept
from lnn.data.dataset import DatasetSummary, feature_shards, load_preprocessing
from lnn.data.in_memory import TEST_X, TEST_Y
from lnn.data.preprocessing import Preprocessing, category_of, listed
from lnn.data.value_range import bytes_of
from lnn.errors import InputError, LnnError
from lnn.models.evaluation import Evaluation, NumbersEvaluation, evaluate, evaluate_numbers
from lnn.models.inference import column_of_example, column_of_values, takes_pictures_of
from lnn.models.model_file import Model
from lnn.models.store import Artifacts
from lnn.runs.record import Run
from lnn.text.characters import quoted
from lnn_client.cloud import Cloud
from lnn_client.datasets import Split
from lnn_client.errors import ClientError
from lnn_client.prediction_api import Api
from lnn_client.tables import Table

PARALLEL_CALLS = 4
BLOCK = 256
"""Examples that are predicted at once."""


@dataclass(frozen=True, slots=True)
class RunEvaluation:
    """The test examples of a run, and how its model does on them."""

    X: NDArray[Any]
    """(n, m_test), as the network takes them."""
    evaluation: Evaluation | NumbersEvaluation
    """As ``lnn evaluate`` makes it: every mistake, the worst first."""
    outputs: NDArray[Any]
    """Probabilities (K, m_test), or the numbers that the model predicts, (targets, m_test)."""
    y: NDArray[Any]
    """Class indices (m_test,), or the true numbers, (m_test, targets)."""


def outputs_here(network: Model, dataset: Path, split: Split, summary: DatasetSummary) -> NDArray[Any]:
    """The probabilities (K, m) that the model gives each class, or its numbers (targets, m); computed on this machine.

    Raises:
        InputError: the model was trained for other examples.
    """
    convert = _conversion(network, dataset, summary)
    features = summary.features if convert is None else network.features
    known = [list(map(kept, names)) for names in (network.list_classes, network.list_targets)]
    if network.features != features or known != [summary.classes, summary.targets]:
        raise InputError(
            f"the model takes {network.features} features and knows {_names(*known)}; {dataset} has "
            f"{summary.features} features of {_names(summary.classes, summary.targets)}: choose the dataset it was "
            "trained for"
        )
    if network.scale != summary.scale and not takes_pictures_of(network, summary):
        raise InputError(
            f"the model learned from values divided by {network.scale:g}, and {dataset} ({summary.dtype}) is divided "
            f"by {summary.scale:g}: save it in the type and on the scale of the dataset that the model learned from"
        )
    parts = [
        network.predict_proba(
            np.stack([column_of_example(network, summary, example) for example in block], axis=1)
            if convert is None
            else convert(block)
        )
        for block in _blocks(dataset, split, summary)
    ]
    return np.concatenate(parts, axis=1)


def _conversion(
    network: Model, dataset: Path, summary: DatasetSummary
) -> Callable[[NDArray[Any]], NDArray[np.float64]] | None:
    """How a table's stored examples (m, n) become X of a model that has learned from another table; None where equal.

    Another split has other statistics, so the examples are turned into raw rows, and those into what the model takes.

    Raises:
        InputError: the model takes rows of a table, and the dataset has none, or other columns.
    """
    ours, theirs = network.preprocessing, load_preprocessing(dataset) if summary.columns else None
    if ours is None or ours == theirs:
        return None
    if theirs is None:
        raise InputError(
            f"the model takes the columns {listed(ours.names)} of a table, and {dataset} does not say from which table "
            "its features come: make it with lnn dataset from-table"
        )
    if absent := [name for name in ours.names if name not in theirs.names]:
        raise InputError(f"the model takes the column {quoted(absent[0])}; {dataset} has {listed(theirs.names)}")
    return lambda block: ours.matrix([_raw_row(theirs, example) for example in block])


def _raw_row(preprocessing: Preprocessing, example: NDArray[Any]) -> dict[str, float | bool | str]:
    """The row of a table whose features are stored."""
    return dict(zip(preprocessing.names, preprocessing.raw(example), strict=True))


def outputs_of_api(cloud: Cloud, model_id: str, dataset: Path, split: Split, summary: DatasetSummary) -> NDArray[Any]:
    """The probabilities (K, m) that the prediction API answers for each class, or the numbers (targets, m).

    The requests name the model: a canary takes no share of them.

    Raises:
        InputError: the model was trained for other classes or targets.
        ClientError: the API refused an example.
    """
    api = Api(cloud)
    preprocessing = load_preprocessing(dataset) if summary.columns else None

    def ask(example: NDArray[Any]) -> list[float]:
        body, kind = _request(example, summary, preprocessing)
        answer = api.call("POST", f"predict?model={quote(model_id)}", body, kind).json()
        answered = answer.get("probabilities"), answer.get("values")
        classes, numbers = ({kept(name): value for name, value in (said or {}).items()} for said in answered)
        if (set(classes), set(numbers)) != (set(summary.classes), set(summary.targets)):
            knows, has = _names(list(classes), list(numbers)), _names(summary.classes, summary.targets)
            raise InputError(f"{model_id} knows {knows}, and {dataset} has {has}")
        said = classes | numbers
        return [said[name] for name in summary.classes or summary.targets]

    examples = (example for block in _blocks(dataset, split, summary) for example in block)
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        return np.array(list(pool.map(ask, examples))).T


def outputs_of_table(network: Model, table: Table) -> tuple[NDArray[Any], NDArray[Any], int]:
    """What the model gives the rows of a labeled table, with the labels; and how many rows have none.

    Outputs (K, m) or (targets, m), labels (m,) or (m, 1). The rows without a label are left out.

    Raises:
        InputError: the model was not trained on a table, or a row has a value or label that it does not know.
    """
    preprocessing = network.preprocessing
    if preprocessing is None or len(network.list_targets) > 1:
        raise InputError(
            f"the model of run {network.run_id} was not trained on a table, and does not know the columns of "
            f"{table.path}; name a dataset, or train a model on a table: lnn train FILE --label COLUMN"
        )
    table.need([*preprocessing.names, preprocessing.label])
    outputs, labels = [], []
    first = 1
    for batch in table.batches([*preprocessing.names, preprocessing.label]):
        *_, cells = batch.get_columns()
        known = cells.is_not_null().to_numpy()
        rows = batch.select(preprocessing.names).rows()
        for place, is_known in enumerate(known.tolist()):
            if is_known:
                labels.append(
                    _label(network, cells[place], f"row {first + place}: column {quoted(preprocessing.label)}")
                )
        outputs += [
            network.predict_proba(preprocessing.matrix(rows[start:end], first + start)) for start, end in _runs(known)
        ]
        first += len(batch)
    if not labels:
        raise InputError(
            f"{table.path}: column {quoted(preprocessing.label)}: found no label; expected one in each row"
        )
    y = np.array(labels, np.float64)[:, np.newaxis] if network.list_targets else np.array(labels, np.int64)
    return np.concatenate(outputs, axis=1), y, first - 1 - len(labels)


def _runs(known: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where rows that are known follow each other: (start, end)."""
    edges = np.flatnonzero(np.diff(known.astype(np.int8), prepend=0, append=0))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _label(network: Model, cell: Any, where: str) -> float | int:
    """The class index of a cell, or its number in regression. Raises InputError for a label that is neither."""
    text = category_of(cell) or ""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if network.list_targets:
        if not math.isfinite(number):
            raise InputError(f"{where}: found {quoted(text[:60])}; expected a finite number")
        return number
    classes = [kept(name) for name in network.list_classes]
    # A whole number is a class's name without its point, as in training.
    for name in (kept(text), str(int(number)) if number.is_integer() else ""):
        if name in classes:
            return classes.index(name)
    raise InputError(f"{where}: found {quoted(text[:60])}; expected one of the model's classes: {listed(classes)}")


def evaluate_run(cloud: Cloud, run: Run, model: Model) -> RunEvaluation:
    """The run's test examples, evaluated by its model.

    Raises:
        ClientError: they have expired.
    """
    plan = run.parsed_plan
    artifacts = Artifacts(cloud.s3, cloud.names.bucket)
    rows = np.empty((plan.test_examples, plan.sizes[0]))
    try:
        y = artifacts.get_tensor(run.run_id, TEST_Y)
        for index, start in enumerate(range(0, plan.test_examples, plan.shard_rows)):
            for place, example in enumerate(artifacts.get_shard(run.run_id, TEST_X, index), start=start):
                rows[place] = column_of_values(model, example)
    except LnnError as error:
        raise ClientError(f"the test examples cannot be read: {error}") from error
    outputs = model.predict_proba(rows.T)
    found: Evaluation | NumbersEvaluation
    if model.list_targets:
        found = evaluate_numbers(model.list_targets, outputs, y)
    else:
        found = evaluate(model.list_classes, outputs, y)
    return RunEvaluation(rows.T, found, outputs, y)


def _request(example: NDArray[Any], summary: DatasetSummary, preprocessing: Preprocessing | None) -> tuple[bytes, str]:
    """An example as a user would send it: pictures as PNG, rows of tables by column, others as numbers."""
    if preprocessing is not None:
        return json.dumps({"features": _raw_row(preprocessing, example)}).encode(), "application/json"
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
    for block in feature_shards(dataset, f"{split}_set_x", summary.features, BLOCK):
        yield block.copy()


def _names(classes: Sequence[str], targets: Sequence[str]) -> str:
    names, kind = (targets, "targets") if targets else (classes, "classes")
    return f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
