"""The parameters of a training: a file, and what the command line changes in it."""

import json
from collections.abc import Sequence
from pathlib import Path

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
