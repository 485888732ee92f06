"""The parameters of a training: a file, and what the command line changes in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    candidates = [given] if given else [Path(PARAMETERS), project_parameters()]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(f"{candidates[0]} does not exist; name a parameters file")


def project_parameters() -> Path:
    """The project's own parameters: those of the checkout, or the copy that an installed package has."""
    installed = Path(__file__).with_name(PARAMETERS)
    return installed if installed.is_file() else repository() / PARAMETERS


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


MANY = 10_000
"""Examples with which a larger network learns more, in fewer epochs."""
WIDE = 2_000
"""Features, as of pictures, whose sum moves a neuron far at each step."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Parameters that fit a dataset: what they change, as of ``--set``, and the network in words."""

    changes: list[str]
    network: str


def propose(path: Path, classes: int, examples: int, features: int, by_hand: Sequence[str] = ()) -> Proposal:
    """Parameters that fit a dataset; 0 ``classes`` are numbers to predict. What is set ``by_hand`` stays.

    Of the project's own parameters whatever suits the data is chosen; of others only what would not fit it: the output
    layer, batches of more examples than there are, and in regression the optimizer. The sizes of the numbers to predict
    are not known to a learning rate that was meant for classes, and adam's steps do not grow with them.

    Raises:
        InputError: the file is not a JSON object.
    """
    from lnn.job.hyperparameters import apply_overrides, load_json_object

    try:
        raw = load_json_object(path.read_bytes())
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    wanted = _suited(examples, features) if _is_project_s(raw) else {}
    if (hidden := wanted.pop("hidden", None)) is not None:
        wanted |= {f"neurons.layer{layer}": units for layer, units in enumerate(hidden, start=1)}
    last = f"layer{raw.get('layers')}"
    units, kind = output_layer(classes)
    wanted |= {f"neurons.{last}": units, f"activations.{last}": kind}
    size = wanted.get("batch_size", raw.get("batch_size"))
    if isinstance(size, int) and size > examples:
        wanted["batch_size"] = None
    if classes == 0 and raw.get("optimizer") not in {"adam", "adamw"}:
        wanted |= {"optimizer": "adam", "learning_rate": 0.01}
    elif classes == 0 and _is_project_s(raw):
        wanted["learning_rate"] = 0.01
    named = {change.partition("=")[0] for change in by_hand}
    chosen = {key: value for key, value in wanted.items() if key not in named and _at(raw, key) != value}
    changes = [f"{key}={json.dumps(value)}" for key, value in chosen.items()]
    try:
        return Proposal(changes, _in_words(apply_overrides(raw, [*changes, *by_hand])))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _suited(examples: int, features: int) -> dict[str, Any]:
    """Sizes that suit the data: about ten batches an epoch, up to 64 examples in each, and more of both for many."""
    tenth = max(8, examples // 10)
    batch = min(64, 1 << tenth.bit_length() - 1)
    if examples >= MANY:
        return {"hidden": (128, 64), "batch_size": 128, "learning_rate": 0.001, "epochs": 20}
    return {"batch_size": batch} | ({"learning_rate": 0.0005} if features >= WIDE else {})


def _is_project_s(raw: Mapping[str, Any]) -> bool:
    """Whether these are the parameters that come with the project, which nobody has fitted to a dataset."""
    from lnn.job.hyperparameters import load_json_object

    own = project_parameters()
    return own.is_file() and load_json_object(own.read_bytes()) == raw


def _in_words(raw: Mapping[str, Any]) -> str:
    layers = range(1, raw["layers"] + 1) if isinstance(raw.get("layers"), int) else ()
    hidden = [str(_at(raw, f"neurons.layer{layer}")) for layer in layers][:-1]
    last = f"layer{raw.get('layers')}"
    units, kind = (_at(raw, f"{key}.{last}") for key in ("neurons", "activations"))
    loss = raw.get("loss") or "auto"
    if loss == "auto":
        loss = "squared error" if kind == "linear" else "cross-entropy"
    size = raw.get("batch_size")
    return (
        f"{'hidden layers of ' + ', '.join(hidden) if hidden else 'no hidden layer'}; output {units} {kind}; loss "
        f"{loss}; {f'batches of {size}' if size else 'no batches'}; {raw.get('optimizer') or 'sgd'}, learning rate "
        f"{raw.get('learning_rate')}; {raw.get('epochs')} epochs"
    )


def _at(raw: Mapping[str, Any], key: str) -> Any:
    """The value of a key, or of a layer as in ``neurons.layer1``."""
    outer, _, inner = key.partition(".")
    value = raw.get(outer)
    return value if not inner else value.get(inner) if isinstance(value, dict) else None
