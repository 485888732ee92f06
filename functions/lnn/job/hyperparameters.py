"""``parameters.json``: parsed and checked; one error lists every problem, each with its key.

A problem reads ``key: found what is there; expected what should be``. Types are strict: ``"3"``, ``3.0`` and ``true``
are not the integer 3. Upper bounds keep a file from asking for more than any Lambda function can hold.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lnn.errors import SettingsError
from lnn.network import (
    ACTIVATIONS,
    CONSTANTS,
    CROSS_ENTROPY,
    LINEAR,
    OUTPUT_ACTIVATIONS,
    REGRESSION_LOSSES,
    SCHEDULES,
)
from lnn.strategies.registry import AUTO, STEPPED, STRATEGIES
from lnn.text.characters import unsafe

MAX_FILE_BYTES = 1_000_000
MAX_LAYERS = 100
MAX_UNITS = 65_536
MAX_WORKERS = 256
MAX_SNAPSHOTS = 1000
SNAPSHOTS = 60
"""``snapshots`` of a run whose parameters.json says nothing, and of runs of releases that had no such setting."""
MAX_NAME, MAX_TAG, MAX_TAGS = 100, 50, 20
"""Characters of a run's name and of a tag; tags of a run."""
MAX_CLASS_WEIGHT = 1e9
"""Beyond what any imbalance asks for; sums of so weighted costs are far from float64's largest number."""
MAX_PROBLEMS = 40
"""The most problems in one error: nobody reads more, and DynamoDB items and messages have limits."""


def _one_of(names: Iterable[str]) -> str:
    *others, last = map(json.dumps, names)
    return f"{', '.join(others)} or {last}"


HIDDEN, OUTPUT = _one_of(ACTIVATIONS), _one_of(OUTPUT_ACTIVATIONS)
LOSSES = _one_of([AUTO, CROSS_ENTROPY, *REGRESSION_LOSSES])
OF_LAYERS = {
    "neurons": f"an integer from 1 to {MAX_UNITS}",
    "activations": f"{HIDDEN} ({OUTPUT} for the last layer)",
    "dropout": "a number from 0 to below 1",
}
"""What is expected of each layer in the objects that have layers."""
EXPECTED_NO_DROPOUT = "expected {}: one layer has no hidden ones"
LAYER_KEY = re.compile(r"layer([1-9][0-9]*)")

BALANCED = "balanced"
_STEPPED = _one_of([STEPPED, AUTO])

SCHEDULE_KEYS = {
    "every": "an integer, 1 or more: epochs between two changes",
    "factor": "a number above 0, at most 1: what the learning rate is multiplied by",
    "warmup_epochs": "an integer, 0 or more",
}

Units: TypeAlias = Annotated[int, Field(ge=1, le=MAX_UNITS)]
Rate: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
Activation: TypeAlias = Annotated[str, Field(pattern=f"^({'|'.join({**ACTIVATIONS, **OUTPUT_ACTIVATIONS})})$")]


class Settings(BaseModel):
    """The settings of a run. A field's title says what it is for; its description is the error message's "expected"."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(
        ge=1, le=10_000_000, title="passes over the training set", description="an integer from 1 to 10000000"
    )
    layers: int = Field(
        ge=1,
        le=MAX_LAYERS,
        title="layers with weights, the output included; 1 is logistic regression",
        description=f"an integer from 1 to {MAX_LAYERS}",
    )
    neurons: dict[str, Units] = Field(
        title="neurons of each layer",
        description=f'an object such as {{"layer1": 20, "layer2": 1}}, with integers from 1 to {MAX_UNITS}',
    )
    activations: dict[str, Activation] = Field(
        title="activation of each layer",
        description=f"an object with one of {HIDDEN} for each layer, and {OUTPUT} for the last",
    )
    dropout: dict[str, Rate] = Field(
        {},
        title="share of a hidden layer's outputs that training drops at random",
        description='an object such as {"layer1": 0.2}, with numbers from 0 to below 1',
    )
    learning_rate: float = Field(gt=0, title="step size", description="a number above 0")
    schedule: dict[str, Any] | None = Field(
        None,
        title="how the learning rate changes from epoch to epoch; see below",
        description='an object such as {"kind": "cosine", "warmup_epochs": 5}, or null for no change',
    )
    loss: Literal["auto", "cross_entropy", "mse", "mae", "huber"] = Field(
        "auto",
        title=(
            "what training minimizes: `auto` is cross_entropy for classes, mse for numbers; "
            "mae and huber heed outliers less"
        ),
        description=LOSSES,
    )
    class_weight: Any = Field(
        None,
        title="how much an example of each class counts; see below",
        description='"balanced", an object such as {"fraud": 20}, or null for 1 each',
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        title="examples of a mini-batch, shuffled anew each epoch",
        description="an integer, 1 or more, or null for the full batch",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        title="stop once an epoch's cost is at or below it",
        description="a number above 0, or null to never stop early",
    )
    validation: float | None = Field(
        None,
        gt=0,
        lt=1,
        title=(
            "share of the training set that is held out to measure each epoch's model; null takes the dataset's own "
            "`validation_set_x`, where it has one"
        ),
        description="a number above 0 and below 1, or null",
    )
    patience: int | None = Field(
        None,
        ge=1,
        title="stop after so many epochs without a lower validation cost",
        description="an integer, 1 or more, or null to train all epochs",
    )
    min_delta: float = Field(
        0.0,
        ge=0,
        title="how much lower than the lowest before a validation cost must be to count",
        description="a number, 0 or above",
    )
    keep: Literal["best", "last"] = Field(
        "best",
        title="with a validation set: the model of the epoch with the lowest validation cost, or of the last",
        description='"best" or "last"',
    )
    strategy: str = Field(
        AUTO,
        title="how to run it; `auto` takes the fastest that fits",
        description=f"{', '.join(map(json.dumps, STRATEGIES))} or {json.dumps(AUTO)}",
    )
    step: bool = Field(
        False,
        title=(
            "for `neuron`, which `auto` then takes: wait after each step until somebody presses Next in `lnn view`, or "
            "`lnn step` is called; 30 minutes at most, then the run stops"
        ),
        description="true or false",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=MAX_WORKERS,
        title=(
            "functions that train side by side, for `resident` and `data`, at most as many as there are features or "
            "units in layer 1, or examples; null leaves the number to the cost model, up to Terraform's `max_workers`"
        ),
        description=f"an integer from 1 to {MAX_WORKERS}, or null",
    )
    average_every: int | None = Field(
        None,
        ge=1,
        title="for `data`: updates that each worker makes alone before the workers average parameters",
        description="an integer, 1 or more, or null to add up the gradients of every step",
    )
    optimizer: Literal["sgd", "momentum", "nesterov", "adam", "adamw"] = Field(
        "sgd",
        title="how gradients change the weights",
        description='"sgd", "momentum", "nesterov", "adam" or "adamw"',
    )
    momentum: float | None = Field(
        None,
        ge=0,
        lt=1,
        title="for `momentum` and `nesterov`: share of the velocity that an update keeps",
        description="a number from 0 to below 1, or null for 0.9",
    )
    beta1: float | None = Field(
        None,
        ge=0,
        lt=1,
        title="for `adam` and `adamw`: share of the mean of gradients that an update keeps",
        description="a number from 0 to below 1, or null for 0.9",
    )
    beta2: float | None = Field(
        None,
        ge=0,
        lt=1,
        title="for `adam` and `adamw`: share of the mean of squared gradients that an update keeps",
        description="a number from 0 to below 1, or null for 0.999",
    )
    epsilon: float | None = Field(
        None,
        ge=1e-30,
        le=1,
        title="for `adam` and `adamw`: what is added to the root that a step is divided by",
        description="a number from 1e-30 to 1, or null for 1e-8",
    )
    clip_norm: float | None = Field(
        None,
        gt=0,
        title="largest norm of a batch's gradient, over all weights and biases; a larger gradient is scaled down to it",
        description="a number above 0, or null for no limit",
    )
    weight_init: Literal["zeros", "xavier", "he", "auto"] = Field(
        "auto",
        title="initial weights; `auto` is he for relu kinds and xavier otherwise, `zeros` is for one layer",
        description='"zeros", "xavier", "he" or "auto"',
    )
    initial_model: str | None = Field(
        None,
        max_length=1_024,
        title="whose weights to begin with: a run, a registered model, `latest`, or the address of a `params.h5`",
        description='a name such as "latest", the s3:// address of a params.h5, or null',
    )
    replace_output: bool = Field(
        False,
        title="with `initial_model`: draw the last layer anew, for other classes or targets",
        description="true or false",
    )
    l2: float = Field(
        0.0, ge=0, title="weight decay; for `adamw` apart from the gradient", description="a number, 0 or above"
    )
    dtype: Literal["float32", "float64", "auto"] = Field(
        "auto",
        title="precision of everything; `auto` is float64 for data in float64 and float32, faster, for all other",
        description='"float32", "float64" or "auto"',
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        title="seed of every random draw",
        description="an integer from 0 to 9223372036854775807",
    )
    record_every: int = Field(
        1,
        ge=1,
        title="epochs between rows of the history; the last is always there",
        description="an integer, 1 or more",
    )
    checkpoint_seconds: float = Field(
        30.0,
        gt=0,
        le=86_400,
        title="seconds of work that a crash may repeat at most; never less than a batch, or than storing takes",
        description="a number above 0, at most 86400",
    )
    notify_every: int | None = Field(
        None,
        ge=1,
        title="epochs between progress messages",
        description="an integer, 1 or more, or null for no progress messages",
    )
    snapshots: int = Field(
        SNAPSHOTS,
        ge=0,
        le=MAX_SNAPSHOTS,
        title=(
            "epochs that `lnn view` steps through, besides the start and the last, more of the first ones; they are "
            "computed when they are looked at, so training does and stores nothing for them; with 0 a run of `neuron` "
            "does not record its invocations either, so that nothing shows which Lambda worked when"
        ),
        description=f"an integer from 0 to {MAX_SNAPSHOTS}",
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        title="stop, keeping the model, before the run takes more seconds",
        description="a number above 0, or null for no limit",
    )
    max_usd: float | None = Field(
        None,
        gt=0,
        title="stop, keeping the model, before the run costs more US dollars",
        description="a number above 0, or null for no limit",
    )
    name: str | None = Field(
        None,
        max_length=MAX_NAME,
        title="what people call the run: `lnn runs --name TEXT` finds it",
        description=f"a text of 1 to {MAX_NAME} visible characters, or null",
    )
    tags: list[Annotated[str, Field(max_length=MAX_TAG)]] = Field(
        [],
        max_length=MAX_TAGS,
        title="marks of the run: `lnn runs --tag TAG` finds all that have one",
        description=f"a list of at most {MAX_TAGS} texts of 1 to {MAX_TAG} visible characters",
    )

    @field_validator("name")
    @classmethod
    def _name_is_visible(cls, name: str | None) -> str | None:
        if name is not None and not _is_visible(name):
            raise ValueError("invisible")
        return name

    @field_validator("tags")
    @classmethod
    def _tags_are_visible(cls, tags: list[str]) -> list[str]:
        if not all(map(_is_visible, tags)):
            raise ValueError("invisible")
        return tags

    @field_validator("strategy")
    @classmethod
    def _strategy_is_known(cls, name: str) -> str:
        if name not in {AUTO, *STRATEGIES}:
            raise ValueError("unknown")
        return name

    @model_validator(mode="after")
    def _layers_agree(self) -> Settings:
        if problems := _joint_problems(self.model_dump()):
            raise ValueError("; ".join(problems))
        return self

    @property
    def sizes(self) -> list[int]:
        """Units of each layer, from the first layer to the output."""
        return [self.neurons[f"layer{layer}"] for layer in range(1, self.layers + 1)]

    @property
    def activation_list(self) -> list[str]:
        """The activation of each layer, in the same order."""
        return [self.activations[f"layer{layer}"] for layer in range(1, self.layers + 1)]

    @property
    def dropout_rates(self) -> list[float]:
        """The share that is dropped of each hidden layer; empty where nothing is."""
        rates = [float(self.dropout.get(f"layer{layer}", 0)) for layer in range(1, self.layers)]
        return rates if any(rates) else []

    @property
    def constants(self) -> dict[str, Any]:
        """The constants of the optimizer's rule: those set, and the usual values of the others."""
        usual = CONSTANTS[self.optimizer]
        return {key: value if (own := getattr(self, key)) is None else own for key, value in usual.items()}

    @property
    def loss_name(self) -> str:
        """What training minimizes; ``auto`` is decided by the output layer."""
        if self.loss != AUTO:
            return self.loss
        return "mse" if self.activation_list[-1] == LINEAR else CROSS_ENTROPY

    def dtype_for(self, stored: str) -> str:
        """The precision to train in with features that are stored as ``stored``."""
        if self.dtype != AUTO:
            return self.dtype
        return "float64" if stored == "float64" else "float32"

    def to_dict(self) -> dict[str, Any]:
        """Every key with its value, defaults filled in: JSON types only."""
        return self.model_dump(mode="json")


def parse_settings(raw: bytes | str) -> Settings:
    """The settings in the text of a ``parameters.json``. Raises SettingsError with every problem it has."""
    return _settings(*_read_json_object(raw))


def load_json_object(raw: bytes | str) -> dict[str, Any]:
    """The JSON object in a ``parameters.json``, its values unchecked. Raises SettingsError if there is none."""
    value, problems = _read_json_object(raw)
    if problems:
        _refuse(problems)
    return value


def apply_overrides(raw: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """``raw`` with every ``key=value`` (or ``neurons.layer1=20``) applied; ``raw`` itself stays as it is.

    A value is read as JSON, and as a plain string if it is not JSON. Raises SettingsError for other text.
    """
    settings: dict[str, Any] = copy.deepcopy(dict(raw))
    problems = []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys):
            problems.append(f"--set: found {_show(assignment)}; expected key=value, such as epochs=20")
            continue
        target = settings
        for key in keys[:-1]:
            inner = target.setdefault(key, {})
            if not isinstance(inner, dict):
                problems.append(f"--set {path}: {key} is {_show(inner)}, so it has no {keys[-1]!r}")
                break
            target = inner
        else:
            target[keys[-1]] = _json_or_text(text)
    if problems:
        _refuse(problems)
    return settings


def _settings(raw: Mapping[str, Any], problems: list[str]) -> Settings:
    """Settings from a JSON object in which ``problems`` have been found already."""
    # JSON can encode half a surrogate pair, which is no text; at such a key pydantic would report nothing else.
    raw = {key.encode(errors="backslashreplace").decode(): value for key, value in raw.items()}
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        # An error without a place comes from _layers_agree, which only runs when every field is right by itself.
        fields = [_describe(e["type"], e["loc"], e["input"]) for e in error.errors(include_url=False) if e["loc"]]
        _refuse([*problems, *fields, *_joint_problems(raw)])
    if problems:
        _refuse(problems)
    return settings


def _read_json_object(raw: bytes | str) -> tuple[dict[str, Any], list[str]]:
    """The object, and a problem for each repeated key. Raises SettingsError if the text holds no object."""
    if len(raw) > MAX_FILE_BYTES:
        _refuse([f"parameters.json: found {len(raw):,} bytes; expected at most {MAX_FILE_BYTES:,}"])
    try:
        text = raw.decode("utf-8-sig") if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        _refuse([f"parameters.json: not UTF-8 text (byte {error.start}); save it as UTF-8"])
    if not text.strip():
        _refuse(["parameters.json: the file is empty; expected a JSON object"])

    problems: list[str] = []

    def note_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counts = Counter(key for key, _ in pairs)
        problems.extend(f"{_plain(key)}: found {n} times; expected once" for key, n in counts.items() if n > 1)
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=note_duplicates)
    except json.JSONDecodeError as error:
        _refuse([f"parameters.json: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}"])
    except RecursionError:
        _refuse(["parameters.json: objects or lists nested too deep; expected a JSON object of settings"])
    except ValueError:  # Python's own limit against integers of thousands of digits
        _refuse(["parameters.json: found an integer of thousands of digits; expected a JSON object of settings"])
    if not isinstance(value, dict):
        _refuse([f"parameters.json: found {_show(value)}; expected a JSON object of settings"])
    return value, problems


def _joint_problems(raw: Mapping[str, Any]) -> list[str]:
    """Problems of several keys together."""
    return [
        *_layer_problems(raw),
        *_class_weight_problems(raw),
        *_constant_problems(raw),
        *_schedule_problems(raw),
        *_output_replacement_problems(raw),
        *_step_problems(raw),
    ]


def _class_weight_problems(raw: Mapping[str, Any]) -> list[str]:
    found = raw.get("class_weight")
    expected = Settings.model_fields["class_weight"].description
    if found is None:
        return []
    if not isinstance(found, dict):
        return [] if found == BALANCED else [f"class_weight: found {_show(found)}; expected {expected}"]
    if not found:
        return [f"class_weight: found no class; expected {expected}"]
    return [
        f"class_weight.{_plain(name)}: found {_show(weight)}; expected a number above 0, at most {MAX_CLASS_WEIGHT:g}"
        for name, weight in found.items()
        if type(weight) not in {int, float} or not 0 < weight <= MAX_CLASS_WEIGHT
    ]


def _constant_problems(raw: Mapping[str, Any]) -> list[str]:
    """Constants of another optimizer's rule: who sets one expects something of it."""
    optimizer = raw.get("optimizer", Settings.model_fields["optimizer"].default)
    if not isinstance(optimizer, str) or optimizer not in CONSTANTS:
        return []
    problems = []
    for key in dict.fromkeys(key for constants in CONSTANTS.values() for key in constants):
        users = [name for name, constants in CONSTANTS.items() if key in constants]
        if raw.get(key) is not None and optimizer not in users:
            problems.append(
                f"{key}: found {_show(raw[key])} with optimizer {json.dumps(optimizer)}; "
                f"expected null, or optimizer {_one_of(users)}"
            )
    return problems


def _output_replacement_problems(raw: Mapping[str, Any]) -> list[str]:
    if raw.get("replace_output") is True and raw.get("initial_model") is None:
        return ["replace_output: found true and no initial_model; expected false, or the name of a model beside it"]
    return []


def _step_problems(raw: Mapping[str, Any]) -> list[str]:
    strategy = raw.get("strategy", AUTO)
    if raw.get("step") is not True or not isinstance(strategy, str) or strategy not in STRATEGIES:
        return []
    if STRATEGIES[strategy].may_be_stepped:
        return []
    return [f"step: found true with strategy {json.dumps(strategy)}; expected false, or strategy {_STEPPED}"]


def _schedule_problems(raw: Mapping[str, Any]) -> list[str]:
    schedule, epochs = raw.get("schedule"), raw.get("epochs")
    if not isinstance(schedule, dict):
        return []
    kinds = _one_of(SCHEDULES)
    if "kind" not in schedule:
        return [f"schedule.kind: missing; expected {kinds}"]
    kind = schedule["kind"]
    if not isinstance(kind, str) or kind not in SCHEDULES:
        return [f"schedule.kind: found {_show(kind)}; expected {kinds}"]
    needed = SCHEDULES[kind]
    known = ["kind", *needed, "warmup_epochs"]
    problems = [
        f"schedule.{_plain(key)}: unknown key with kind {json.dumps(kind)}; "
        + (_near(key, known) or f"expected {', '.join(known)}")
        for key in schedule
        if key not in known
    ]
    problems += [f"schedule.{key}: missing; expected {SCHEDULE_KEYS[key]}" for key in needed if key not in schedule]
    for key in known[1:]:
        if key in schedule and not _fits_schedule(key, schedule[key]):
            problems.append(f"schedule.{key}: found {_show(schedule[key])}; expected {SCHEDULE_KEYS[key]}")
        elif key == "warmup_epochs" and type(epochs) is int and schedule.get(key, 0) >= max(1, epochs):
            problems.append(f"schedule.{key}: found {_show(schedule[key])}; expected fewer than the epochs, {epochs}")
    return problems


def _fits_schedule(key: str, value: Any) -> bool:
    if key == "factor":
        return type(value) in {int, float} and 0 < value <= 1
    return type(value) is int and value >= (1 if key == "every" else 0)


def _layer_problems(raw: Mapping[str, Any]) -> list[str]:
    """Problems of layers, neurons and activations together. Values of a wrong type are skipped."""
    layers, neurons, activations = (raw.get(key) for key in ("layers", "neurons", "activations"))
    if type(layers) is not int or not 1 <= layers <= MAX_LAYERS:
        layers = None
    problems = []
    for key, value in (("neurons", neurons), ("activations", activations)):
        if isinstance(value, dict):
            problems += _layer_key_problems(key, value, layers)
    if isinstance(dropout := raw.get("dropout"), dict):
        problems += _dropout_problems(dropout, layers)
    if layers is None:
        return problems

    last = f"layer{layers}"
    if isinstance(activations, dict):
        if activations.get(last) in list(ACTIVATIONS) and activations[last] != "sigmoid":
            problems.append(
                f"activations.{last}: found {_show(activations[last])}; expected {OUTPUT} for the output layer"
            )
        problems += [
            f'activations.layer{layer}: found "{name}"; expected {HIDDEN}: {name} is for the output layer, {last}'
            for layer in range(1, layers)
            for name in ("softmax", LINEAR)
            if activations.get(f"layer{layer}") == name
        ]
        problems += _loss_problems(raw.get("loss", AUTO), last, activations.get(last))
        if activations.get(last) == "softmax" and isinstance(neurons, dict) and neurons.get(last) == 1:
            problems.append(
                f'neurons.{last}: found 1 with "softmax"; expected a neuron for each class, or "sigmoid" for one neuron'
            )
    if raw.get("weight_init") == "zeros" and layers > 1:
        problems.append(
            f'weight_init: found "zeros" with {layers} layers; expected "auto", "he" or "xavier": '
            "neurons that start alike stay alike (zeros is for layers: 1)"
        )
    return problems


def _loss_problems(loss: object, last: str, output: object) -> list[str]:
    """A loss against the activation of the output layer, ``last``: classes have the one, numbers the others."""
    if output == LINEAR and loss == CROSS_ENTROPY:
        expected = (
            f'"{AUTO}" or {_one_of(REGRESSION_LOSSES)} for numbers, '
            f'or "sigmoid" or "softmax" in activations.{last} for classes'
        )
    elif output in ("sigmoid", "softmax") and loss in list(REGRESSION_LOSSES):
        expected = f'"{AUTO}" or "{CROSS_ENTROPY}" for classes, or "{LINEAR}" in activations.{last} for numbers'
    else:
        return []
    return [f'loss: found "{loss}" with "{output}" for the output layer; expected {expected}']


def _layer_key_problems(key: str, value: Mapping[str, Any], layers: int | None) -> list[str]:
    names = [f"layer{layer}" for layer in range(1, (layers or 1) + 1)]
    problems = [f"{key}.{name}: missing; layers is {layers}" for name in names if layers and name not in value]
    for name in value:
        if not LAYER_KEY.fullmatch(name):
            expected = _near(name, names) or f"expected layer1 to layer{layers or 'N'}"
            problems.append(f"{key}.{_plain(name)}: unknown key; {expected}")
        elif layers is not None and name not in names:
            problems.append(f"{key}.{name}: found, but layers is {layers}; remove it or raise layers")
    return problems


def _dropout_problems(dropout: Mapping[str, Any], layers: int | None) -> list[str]:
    """Only hidden layers have dropout: what a model says is not dropped."""
    hidden = [f"layer{layer}" for layer in range(1, layers or MAX_LAYERS)]
    last = f"layer{layers}"
    expected = f"expected hidden layers, {hidden[0]} to {hidden[-1]}" if hidden else EXPECTED_NO_DROPOUT
    return [
        f"dropout.{_plain(name)}: found {_show(rate)}"
        + (" for the output layer" if name == last else "")
        + f"; {expected if LAYER_KEY.fullmatch(name) else _near(name, hidden) or expected}"
        for name, rate in dropout.items()
        if name not in hidden
    ]


def _describe(kind: str, loc: tuple[int | str, ...], found: object) -> str:
    """One pydantic error as ``key: found ...; expected ...``."""
    field = str(loc[0])
    key = ".".join(_plain(str(part)) for part in loc if part != "[key]")
    if kind == "extra_forbidden":
        known = list(Settings.model_fields)
        return f"{key}: unknown key; " + (_near(field, known) or f"expected one of {', '.join(known)}")
    expected = Settings.model_fields[field].description
    if len(loc) > 1 and field in OF_LAYERS:
        expected = OF_LAYERS[field]
    if kind == "missing":
        return f"{key}: missing; expected {expected}"
    return f"{key}: found {_show(found)}; expected {expected}"


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name.lower()[:100], known, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _show(value: object) -> str:
    """A value as short, printable JSON."""
    try:
        text = json.dumps(value, ensure_ascii=False)
        return _plain(text if text.isprintable() else json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return _plain(repr(value))


def _plain(text: str) -> str:
    """Text for a message: short, on one line, and encodable."""
    text = text[:100] if text.isprintable() else ascii(text[:100])
    return text if len(text) <= 60 else text[:57] + "..."


def _is_visible(text: str) -> bool:
    """Whether a text shows something, and holds nothing that is unsafe to show."""
    return bool(text.strip()) and not any(map(unsafe, text))


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _refuse(problems: list[str]) -> NoReturn:
    problems = list(dict.fromkeys(problems))
    if len(problems) > MAX_PROBLEMS:
        problems = [*problems[:MAX_PROBLEMS], f"and {len(problems) - MAX_PROBLEMS} more"]
    raise SettingsError(problems)
