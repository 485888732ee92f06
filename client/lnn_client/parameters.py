"""The parameters of a training: a file, and what the command line changes in it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lnn.errors import InputError
from lnn.names import PARAMETERS
from lnn_client.cloud import repository


def parameters_path(given: Path | None) -> Path:
    """The file to use: the one given, else that of the current folder, else the project's.

    Raises:
        InputError: there is none.
    """
    candidates = [given] if given else [Path(PARAMETERS), repository() / PARAMETERS]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(f"{candidates[0]} does not exist; name a parameters file")


def read_parameters(path: Path, changes: Sequence[str], strategy: str | None) -> bytes:
    """The file's bytes with ``--set key=value`` and ``--strategy`` applied; untouched if there are none.

    Raises:
        InputError: the file is not a JSON object, or a change cannot be applied to it.
    """
    raw = path.read_bytes()
    if not changes and strategy is None:
        return raw
    from lnn.job.hyperparameters import apply_overrides, load_json_object

    try:
        changed = apply_overrides(load_json_object(raw), changes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if strategy is not None:
        changed["strategy"] = strategy
    return json.dumps(changed, indent=2).encode()


def output_layer(classes: int) -> tuple[int, str]:
    """Units and activation of the output layer for so many classes; 0 is one number to predict."""
    if classes == 0:
        return 1, "linear"
    return (1, "sigmoid") if classes == 2 else (classes, "softmax")


def fitting_changes(path: Path, classes: int, examples: int) -> list[str]:
    """The changes, as of ``--set``, that make the file's parameters fit a dataset: its output layer and its batches.

    In regression (0 ``classes``) also the optimizer: the sizes of the numbers are not known to a learning rate that was
    meant for classes, and adam's steps do not grow with them.

    Raises:
        InputError: the file is not a JSON object.
    """
    from lnn.job.hyperparameters import load_json_object

    try:
        raw = load_json_object(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    last = f"layer{raw.get('layers')}"
    units, kind = output_layer(classes)
    wanted = {f"neurons.{last}": units, f"activations.{last}": kind}
    changes = [f"{key}={value}" for key, value in wanted.items() if _inner(raw, *key.split(".")) != value]
    size = raw.get("batch_size")
    if isinstance(size, int) and size > examples:
        changes.append("batch_size=null")
    if classes == 0 and raw.get("optimizer") not in {"adam", "adamw"}:
        changes += ["optimizer=adam", "learning_rate=0.01"]
    return changes


def _inner(raw: Mapping[str, Any], key: str, inner: str) -> Any:
    value = raw.get(key)
    return value.get(inner) if isinstance(value, dict) else None
