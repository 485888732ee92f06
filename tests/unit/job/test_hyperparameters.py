"""``parameters.json``: what is accepted, and what a refusal says."""

from __future__ import annotations

import copy
import json
import sys
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.data.dataset import DatasetSummary
from lnn.errors import SettingsError
from lnn.job.hyperparameters import (
    MAX_PROBLEMS,
    Settings,
    apply_overrides,
    load_json_object,
    parse_settings,
)
from lnn.network import ACTIVATIONS, OPTIMIZERS, SCHEDULES, Optimizer
from lnn.planning.feasibility import check_settings_fit
from support.repository import REPOSITORY

CAT: dict[str, Any] = {
    "epochs": 2500,
    "layers": 4,
    "neurons": {"layer1": 20, "layer2": 7, "layer3": 5, "layer4": 1},
    "activations": {"layer1": "relu", "layer2": "relu", "layer3": "relu", "layer4": "sigmoid"},
    "learning_rate": 0.0075,
}
ONE_LAYER: dict[str, Any] = {
    "epochs": 1,
    "layers": 1,
    "neurons": {"layer1": 1},
    "activations": {"layer1": "sigmoid"},
    "learning_rate": 1,
}


def changed(*assignments: tuple[str, Any], base: dict[str, Any] = CAT) -> dict[str, Any]:
    """``base`` with dotted keys set."""
    raw = copy.deepcopy(base)
    for path, value in assignments:
        *outer, last = path.split(".")
        target = raw
        for key in outer:
            target = target[key]
        target[last] = value
    return raw


def without(path: str) -> dict[str, Any]:
    raw = copy.deepcopy(CAT)
    *outer, last = path.split(".")
    target = raw
    for key in outer:
        target = target[key]
    del target[last]
    return raw


def problems(raw: dict[str, Any] | bytes | str) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        parse_settings(json.dumps(raw) if isinstance(raw, dict) else raw)
    return refusal.value.problems


def summary(classes: int, m: int = 209, features: int = 12288) -> DatasetSummary:
    return DatasetSummary(m, 50, features, [f"class {k}" for k in range(classes)], (64, 64, 3), "uint8", 255.0)


def test_the_prototype_s_keys_are_enough_and_the_others_have_their_defaults() -> None:
    settings = parse_settings(json.dumps(CAT))
    assert settings.sizes == [20, 7, 5, 1]
    assert settings.activation_list == ["relu", "relu", "relu", "sigmoid"]
    assert {key: value for key, value in settings.to_dict().items() if key not in CAT} == {
        "dropout": {},
        "schedule": None,
        "loss": "auto",
        "class_weight": None,
        "batch_size": None,
        "threshold": None,
        "validation": None,
        "patience": None,
        "min_delta": 0.0,
        "keep": "best",
        "strategy": "auto",
        "workers": None,
        "average_every": None,
        "optimizer": "sgd",
        "momentum": None,
        "beta1": None,
        "beta2": None,
        "epsilon": None,
        "clip_norm": None,
        "weight_init": "auto",
        "initial_model": None,
        "replace_output": False,
        "l2": 0.0,
        "dtype": "auto",
        "seed": 0,
        "record_every": 1,
        "checkpoint_seconds": 30.0,
        "notify_every": None,
        "snapshots": 60,
        "step": False,
        "max_seconds": None,
        "max_usd": None,
        "name": None,
        "tags": [],
    }


def test_the_repository_s_own_parameters_are_accepted() -> None:
    settings = parse_settings((REPOSITORY / "parameters.json").read_bytes())
    check_settings_fit(settings, summary(10, m=1438, features=64))


def test_settings_survive_storage() -> None:
    settings = parse_settings(json.dumps(changed(("batch_size", 32), ("threshold", 0.01), ("seed", 2**63 - 1))))
    assert parse_settings(json.dumps(settings.to_dict())) == settings


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        parse_settings(json.dumps(CAT)).epochs = 3


def test_a_byte_order_mark_is_no_problem() -> None:
    assert parse_settings(json.dumps(CAT).encode("utf-8-sig")).epochs == 2500


@pytest.mark.parametrize(
    "raw",
    [
        changed(("learning_rate", 1)),
        changed(("threshold", 1), ("max_seconds", 60), ("max_usd", 1), ("checkpoint_seconds", 5)),
        changed(("weight_init", "zeros"), base=ONE_LAYER),
        changed(("neurons.layer4", 2), ("activations.layer4", "softmax")),
        changed(
            ("activations.layer1", "tanh"), ("activations.layer2", "leaky_relu"), ("activations.layer3", "sigmoid")
        ),
        *(changed(("activations.layer1", name)) for name in ACTIVATIONS),
        *({**CAT, "strategy": name} for name in ("neuron", "resident", "data", "fused", "auto")),
        *({**CAT, "optimizer": name} for name in OPTIMIZERS),
        *({**CAT, "optimizer": name, "momentum": 0.5} for name in ("momentum", "nesterov")),
        *({**CAT, "optimizer": name, "beta1": 0, "beta2": 0.5, "epsilon": 1} for name in ("adam", "adamw")),
    ],
)
def test_valid_settings_are_accepted(raw: dict[str, Any]) -> None:
    accepted = parse_settings(json.dumps(raw)).to_dict()
    assert accepted == {**accepted, **raw}


@pytest.mark.parametrize("key", sorted(CAT))
def test_a_missing_key_is_named(key: str) -> None:
    [problem] = problems(without(key))
    assert problem.startswith(f"{key}: missing; expected ")


INTEGERS = [
    *(
        "epochs",
        "layers",
        "neurons.layer2",
        "record_every",
        "batch_size",
        "workers",
        "notify_every",
        "snapshots",
        "seed",
    )
]


@pytest.mark.parametrize("value", ["3", 3.0, True, -1, [3], {}])
@pytest.mark.parametrize("key", INTEGERS)
def test_an_integer_is_an_integer(key: str, value: object) -> None:
    [problem] = problems(changed((key, value)))
    assert problem.startswith(f"{key}: found {json.dumps(value)}; expected an integer")


@pytest.mark.parametrize("key", [key for key in INTEGERS if key not in {"seed", "snapshots"}])
def test_a_count_starts_at_one(key: str) -> None:
    [problem] = problems(changed((key, 0)))
    assert problem.startswith(f"{key}: found 0; expected an integer")


@pytest.mark.parametrize("key", ["epochs", "layers", "neurons.layer2", "workers", "seed"])
def test_an_integer_has_an_upper_bound(key: str) -> None:
    [problem] = problems(changed((key, 2**63)))
    assert problem.startswith(f"{key}: found 9223372036854775808; expected an integer from ")


@pytest.mark.parametrize("key", ["epochs", "layers", "learning_rate", "record_every", "seed", "checkpoint_seconds"])
def test_null_is_refused_where_it_has_no_meaning(key: str) -> None:
    [problem] = problems(changed((key, None)))
    assert problem.startswith(f"{key}: found null; expected ")


@pytest.mark.parametrize("key", ["batch_size", "threshold", "workers", "notify_every", "max_seconds", "max_usd"])
def test_null_is_accepted_where_it_has_a_meaning(key: str) -> None:
    assert parse_settings(json.dumps(changed((key, None)))).to_dict()[key] is None


@pytest.mark.parametrize("value", ["0.1", True, 0, -0.5, [0.1], float("nan"), float("inf"), 10**400])
@pytest.mark.parametrize("key", ["learning_rate", "threshold", "checkpoint_seconds", "max_seconds", "max_usd"])
def test_a_number_is_a_finite_number_above_zero(key: str, value: object) -> None:
    [problem] = problems(changed((key, value)))
    assert problem.startswith(f"{key}: found ")
    assert "; expected a number above 0" in problem


@pytest.mark.parametrize("value", ["0", True, -1e-9, None])
def test_l2_is_zero_or_above(value: object) -> None:
    assert problems(changed(("l2", value))) == [f"l2: found {json.dumps(value)}; expected a number, 0 or above"]


@pytest.mark.parametrize("name", ["digits, wide", "猫と犬", "x" * 100])
def test_a_name_and_tags_are_any_visible_text(name: str) -> None:
    settings = parse_settings(json.dumps(changed(("name", name), ("tags", [name[:50], "b"]))))
    assert (settings.name, settings.tags) == (name, [name[:50], "b"])


@pytest.mark.parametrize("value", ["", "  ", "x" * 101, "a\x1b[31m", 3, True, ["a"]])
def test_a_name_that_cannot_be_shown_is_refused(value: object) -> None:
    [problem] = problems(changed(("name", value)))
    assert problem.startswith("name: found ")
    assert problem.endswith("; expected a text of 1 to 100 visible characters, or null")


@pytest.mark.parametrize("value", ["a", None, [""], [" "], ["x" * 51], ["a\u202e"], [1], ["a"] * 21])
def test_tags_that_cannot_be_shown_are_refused(value: object) -> None:
    [problem] = problems(changed(("tags", value)))
    assert problem.startswith("tags")
    assert problem.endswith("; expected a list of at most 20 texts of 1 to 50 visible characters")


SCHEDULE_EXAMPLES: list[dict[str, Any]] = [
    {"kind": "constant"},
    {"kind": "step", "every": 10, "factor": 0.5},
    {"kind": "exponential", "factor": 1},
    {"kind": "cosine", "warmup_epochs": 5},
]


@pytest.mark.parametrize("schedule", SCHEDULE_EXAMPLES)
def test_a_schedule_of_each_kind_is_accepted_and_survives_storage(schedule: dict[str, Any]) -> None:
    settings = parse_settings(json.dumps(changed(("schedule", schedule))))
    assert settings.schedule == schedule
    assert parse_settings(json.dumps(settings.to_dict())) == settings


def test_every_kind_of_schedule_is_among_the_examples() -> None:
    assert [schedule["kind"] for schedule in SCHEDULE_EXAMPLES] == list(SCHEDULES)


STEP = {"kind": "step", "every": 10, "factor": 0.5}


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", 'schedule: found "cosine"; expected an object such as {"kind": "cosine", "warmup_epochs": 5}, or'),
        ({}, 'schedule.kind: missing; expected "constant", "step", "exponential" or "cosine"'),
        ({"kind": "linear"}, 'schedule.kind: found "linear"; expected "constant", "step", "exponential" or "cosine"'),
        ({"kind": ["step"]}, 'schedule.kind: found ["step"]; expected "constant"'),
        ({"kind": "step", "factor": 0.5}, "schedule.every: missing; expected an integer, 1 or more"),
        ({**STEP, "every": 0}, "schedule.every: found 0; expected an integer, 1 or more"),
        ({**STEP, "every": 2.0}, "schedule.every: found 2.0; expected an integer, 1 or more"),
        ({**STEP, "factor": 0}, "schedule.factor: found 0; expected a number above 0, at most 1"),
        ({**STEP, "factor": 1.5}, "schedule.factor: found 1.5; expected a number above 0, at most 1"),
        ({**STEP, "factor": True}, "schedule.factor: found true; expected a number above 0, at most 1"),
        ({**STEP, "factor": float("nan")}, "schedule.factor: found NaN; expected a number above 0, at most 1"),
        ({**STEP, "evry": 3}, 'schedule.evry: unknown key with kind "step"; did you mean every?'),
        ({"kind": "cosine", "gamma": 0.5}, 'schedule.gamma: unknown key with kind "cosine"; expected kind, warmup'),
        ({"kind": "cosine", "warmup_epochs": -1}, "schedule.warmup_epochs: found -1; expected an integer, 0 or more"),
        (
            {"kind": "cosine", "warmup_epochs": 2500},
            "schedule.warmup_epochs: found 2500; expected fewer than the epochs, 2500",
        ),
    ],
)
def test_a_schedule_that_says_too_little_or_too_much_is_refused(schedule: object, expected: str) -> None:
    [problem] = problems(changed(("schedule", schedule)))
    assert problem.startswith(expected)


@pytest.mark.parametrize("weights", ["balanced", {"cat": 3, "non-cat": 0.5}, None])
def test_weights_of_classes_are_accepted_and_survive_storage(weights: object) -> None:
    settings = parse_settings(json.dumps(changed(("class_weight", weights))))
    assert settings.class_weight == weights
    assert parse_settings(json.dumps(settings.to_dict())) == settings


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (
            "even",
            'class_weight: found "even"; expected "balanced", an object such as {"fraud": 20}, or null for 1 each',
        ),
        (2, 'class_weight: found 2; expected "balanced", an object'),
        ([1, 2], 'class_weight: found [1, 2]; expected "balanced", an object'),
        ({}, 'class_weight: found no class; expected "balanced", an object'),
        ({"cat": 0}, "class_weight.cat: found 0; expected a number above 0, at most 1e+09"),
        ({"cat": True}, "class_weight.cat: found true; expected a number above 0"),
        ({"cat": "3"}, 'class_weight.cat: found "3"; expected a number above 0'),
        ({"cat": float("nan")}, "class_weight.cat: found NaN; expected a number above 0"),
        ({"cat": 1, "\nx": 1e10}, "class_weight.'\\nx': found 10000000000.0; expected a number above 0"),
    ],
)
def test_weights_that_are_none_are_refused(weights: object, expected: str) -> None:
    [problem] = problems(changed(("class_weight", weights)))
    assert problem.startswith(expected)


@pytest.mark.parametrize("value", ["1", True, 0, -1, float("nan"), float("inf"), {"norm": 1}])
def test_a_norm_to_clip_at_is_a_number_above_zero(value: object) -> None:
    [problem] = problems(changed(("clip_norm", value)))
    assert problem.startswith(f"clip_norm: found {json.dumps(value)}; expected a number above 0, or null for no limit")


def test_dropout_is_a_share_of_each_hidden_layer() -> None:
    settings = parse_settings(json.dumps(changed(("dropout", {"layer1": 0.2, "layer3": 0}))))
    assert settings.dropout_rates == [0.2, 0.0, 0.0]
    assert parse_settings(json.dumps(settings.to_dict())) == settings
    for nothing in ({}, {"layer2": 0}):
        assert parse_settings(json.dumps(changed(("dropout", nothing)))).dropout_rates == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.2, 'dropout: found 0.2; expected an object such as {"layer1": 0.2}, with numbers from 0 to below 1'),
        (None, "dropout: found null; expected an object"),
        ({"layer1": 1}, "dropout.layer1: found 1; expected a number from 0 to below 1"),
        ({"layer1": -0.1}, "dropout.layer1: found -0.1; expected a number from 0 to below 1"),
        ({"layer1": True}, "dropout.layer1: found true; expected a number from 0 to below 1"),
        ({"layer1": float("nan")}, "dropout.layer1: found NaN; expected a number from 0 to below 1"),
        ({"layer4": 0.2}, "dropout.layer4: found 0.2 for the output layer; expected hidden layers, layer1 to layer3"),
        ({"layer9": 0.2}, "dropout.layer9: found 0.2; expected hidden layers, layer1 to layer3"),
        ({"lyer1": 0.2}, "dropout.lyer1: found 0.2; did you mean layer1?"),
    ],
)
def test_dropout_of_what_is_no_hidden_layer_or_no_share_is_refused(value: object, expected: str) -> None:
    [problem] = problems(changed(("dropout", value)))
    assert problem.startswith(expected)


def test_a_single_layer_has_nothing_to_drop() -> None:
    [problem] = problems(changed(("dropout", {"layer1": 0.2}), base=ONE_LAYER))
    assert problem == "dropout.layer1: found 0.2 for the output layer; expected {}: one layer has no hidden ones"


@pytest.mark.parametrize("value", ["0.5", True, -0.1, 1, 1.5, [0.5]])
@pytest.mark.parametrize(("key", "optimizer"), [("momentum", "nesterov"), ("beta1", "adam"), ("beta2", "adamw")])
def test_a_share_that_an_update_keeps_is_below_one(key: str, optimizer: str, value: object) -> None:
    [problem] = problems(changed(("optimizer", optimizer), (key, value)))
    assert problem.startswith(f"{key}: found {json.dumps(value)}; expected a number from 0 to below 1, or null for 0.9")


@pytest.mark.parametrize("value", ["1e-8", True, 0, 1e-31, 1.1, {}])
def test_epsilon_never_lets_a_step_be_divided_by_zero(value: object) -> None:
    assert problems(changed(("optimizer", "adam"), ("epsilon", value))) == [
        f"epsilon: found {json.dumps(value)}; expected a number from 1e-30 to 1, or null for 1e-8"
    ]


@pytest.mark.parametrize(
    ("key", "optimizer", "cure"),
    [
        ("momentum", "sgd", '"momentum" or "nesterov"'),
        ("momentum", "adam", '"momentum" or "nesterov"'),
        ("beta1", "momentum", '"adam" or "adamw"'),
        ("beta2", "nesterov", '"adam" or "adamw"'),
        ("epsilon", "sgd", '"adam" or "adamw"'),
    ],
)
def test_a_constant_that_the_optimizer_has_no_use_for_is_refused(key: str, optimizer: str, cure: str) -> None:
    assert problems(changed(("optimizer", optimizer), (key, 0.5))) == [
        f'{key}: found 0.5 with optimizer "{optimizer}"; expected null, or optimizer {cure}'
    ]
    assert parse_settings(json.dumps(changed(("optimizer", optimizer), (key, None)))).optimizer == optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_constants_not_set_are_those_that_an_optimizer_has_in_the_network(name: str) -> None:
    constants = parse_settings(json.dumps(changed(("optimizer", name)))).constants
    assert Optimizer(name, 0.1, **constants) == Optimizer(name, 0.1)


@pytest.mark.parametrize(
    ("dtype", "stored", "expected"),
    [
        ("auto", "uint8", "float32"),
        ("auto", "float32", "float32"),
        ("auto", "float64", "float64"),
        ("float64", "uint8", "float64"),
        ("float32", "float64", "float32"),
    ],
)
def test_auto_is_the_precision_that_the_data_has(dtype: str, stored: str, expected: str) -> None:
    assert parse_settings(json.dumps(changed(("dtype", dtype)))).dtype_for(stored) == expected


@pytest.mark.parametrize(("stored", "expected"), [("uint8", "float32"), ("float32", "float32"), ("float64", "float64")])
def test_without_the_key_the_precision_is_the_data_s_own(stored: str, expected: str) -> None:
    assert parse_settings(json.dumps(CAT)).dtype_for(stored) == expected


@pytest.mark.parametrize("key", ["strategy", "optimizer", "weight_init", "dtype"])
@pytest.mark.parametrize("value", ["Adam", "", None, 1, ["sgd"]])
def test_a_choice_lists_what_there_is_to_choose(key: str, value: object) -> None:
    [problem] = problems(changed((key, value)))
    assert problem.startswith(f'{key}: found {json.dumps(value)}; expected "')
    assert Settings.model_fields[key].description in problem


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (changed(("epoch", 3)), "epoch: unknown key; did you mean epochs?"),
        (changed(("Learning_Rate", 3)), "Learning_Rate: unknown key; did you mean learning_rate?"),
        (changed(("zzz", 3)), "zzz: unknown key; expected one of epochs, layers, "),
        (without("neurons.layer3"), "neurons.layer3: missing; layers is 4"),
        (without("activations.layer1"), "activations.layer1: missing; layers is 4"),
        (changed(("neurons.layer5", 3)), "neurons.layer5: found, but layers is 4; remove it or raise layers"),
        (changed(("neurons.layer_1", 3)), "neurons.layer_1: unknown key; did you mean layer1?"),
        (changed(("neurons.layer01", 3)), "neurons.layer01: unknown key; did you mean layer1?"),
        (changed(("neurons", [20, 7, 5, 1])), "neurons: found [20, 7, 5, 1]; expected an object such as "),
        (changed(("neurons.layer1", 65537)), "neurons.layer1: found 65537; expected an integer from 1 to 65536"),
        (changed(("activations", "relu")), 'activations: found "relu"; expected an object with one of '),
        (changed(("activations.layer4", ["relu"])), 'activations.layer4: found ["relu"]; expected "sigmoid", "relu", '),
        (changed(("activations.layer1", "rleu")), 'activations.layer1: found "rleu"; expected "sigmoid", "relu", '),
        (
            changed(("activations.layer2", "softmax")),
            (
                'activations.layer2: found "softmax"; expected "sigmoid", "relu", "tanh", "leaky_relu", "elu", "gelu" '
                'or "silu": softmax is for'
            ),
        ),
        (
            changed(("activations.layer4", "relu")),
            'activations.layer4: found "relu"; expected "sigmoid", "softmax" or "linear" for the output layer',
        ),
        (
            changed(("activations.layer4", "softmax")),
            'neurons.layer4: found 1 with "softmax"; expected a neuron for each class, or "sigmoid" for one neuron',
        ),
        (
            changed(("weight_init", "zeros")),
            'weight_init: found "zeros" with 4 layers; expected "auto", "he" or "xavier": neurons that start alike',
        ),
        (changed(("layers", 101)), "layers: found 101; expected an integer from 1 to 100"),
        (changed(("validation", 0)), "validation: found 0; expected a number above 0 and below 1, or null"),
        (changed(("validation", 1.0)), "validation: found 1.0; expected a number above 0 and below 1, or null"),
        (changed(("validation", "0.2")), 'validation: found "0.2"; expected a number above 0 and below 1, or null'),
        (changed(("patience", 0)), "patience: found 0; expected an integer, 1 or more, or null"),
        (changed(("patience", 2.0)), "patience: found 2.0; expected an integer, 1 or more, or null"),
        (changed(("min_delta", -1)), "min_delta: found -1; expected a number, 0 or above"),
        (changed(("snapshots", -1)), "snapshots: found -1; expected an integer from 0 to 1000"),
        (changed(("step", 1)), "step: found 1; expected true or false"),
        (
            changed(("step", True), ("strategy", "fused")),
            'step: found true with strategy "fused"; expected false, or strategy "neuron" or "auto"',
        ),
        (changed(("keep", "first")), 'keep: found "first"; expected "best" or "last"'),
        (changed(("initial_model", 7)), 'initial_model: found 7; expected a name such as "latest", the s3://'),
        (changed(("replace_output", 1)), "replace_output: found 1; expected true or false"),
        (changed(("replace_output", True)), "replace_output: found true and no initial_model; expected false, or"),
        (changed(("checkpoint_seconds", 86401)), "checkpoint_seconds: found 86401; expected a number above 0, at most"),
    ],
)
def test_a_problem_says_what_was_found_and_what_was_expected(raw: dict[str, Any], expected: str) -> None:
    [problem] = problems(raw)
    assert problem.startswith(expected)


def test_every_problem_is_reported_at_once() -> None:
    raw = changed(
        ("epochs", "10"),
        ("learning_rate", 0),
        ("optimiser", "adam"),
        ("weight_init", "zeros"),
        ("neurons.layer2", True),
        ("neurons.layer9", 4),
        ("activations.layer4", "tanh"),
        ("activations.layer1", "softmax"),
    )
    keys = [problem.partition(":")[0] for problem in problems(raw)]
    assert sorted(keys) == [
        "activations.layer1",
        "activations.layer4",
        "epochs",
        "learning_rate",
        "neurons.layer2",
        "neurons.layer9",
        "optimiser",
        "weight_init",
    ]


NAMES_COMMA = sys.version_info >= (3, 13)
"""From then on json points at a comma too many, and not behind it."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "parameters.json: the file is empty"),
        (b" \n\t", "parameters.json: the file is empty"),
        (b"\xff\xfe{\x00}\x00", "parameters.json: not UTF-8 text (byte 0); save it as UTF-8"),
        (b'{"epochs": 1,}', f"parameters.json: not valid JSON at line 1, column {13 if NAMES_COMMA else 14}"),
        (b"epochs = 3", "parameters.json: not valid JSON at line 1, column 1"),
        (b'{"epochs": 1} {}', "parameters.json: not valid JSON at line 1, column 15"),
        (b"[1, 2]", "parameters.json: found [1, 2]; expected a JSON object"),
        (b"null", "parameters.json: found null; expected a JSON object"),
        (b"NaN", "parameters.json: found NaN; expected a JSON object"),
        (b"[" * 100_000, "parameters.json: objects or lists nested too deep"),
        (b'{"epochs": ' + b"1" * 10_000 + b"}", "parameters.json: found an integer of thousands of digits"),
        (b" " * 1_000_001, "parameters.json: found 1,000,001 bytes; expected at most 1,000,000"),
    ],
)
def test_a_file_that_holds_no_settings_gets_one_clear_problem(text: bytes, expected: str) -> None:
    [problem] = problems(text)
    assert problem.startswith(expected)


def test_a_key_given_twice_is_reported_with_everything_else() -> None:
    text = json.dumps(changed(("learning_rate", 0)))[:-1] + ', "epochs": 1, "neurons": {"layer1": 1, "layer1": 2}}'
    found = problems(text)
    assert "epochs: found 2 times; expected once" in found
    assert "neurons: found 2 times; expected once" in found
    assert "layer1: found 2 times; expected once" in found
    assert "learning_rate: found 0; expected a number above 0" in found


def test_a_file_full_of_problems_is_answered_briefly() -> None:
    found = problems({**CAT, **{f"key {i} {'x' * 200}": "y" * 200 for i in range(2000)}})
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == f"and {2000 - MAX_PROBLEMS} more"
    assert len(str(SettingsError(found))) < 20_000


TEXT = st.text('layer12 =."\n\u2028\ud800\u00e9', max_size=8)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@hypothesis.settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [*Settings.model_fields, "neurons.layer1", "neurons.layer4", "activations.layer4", "\ud800", "x"]
        ),
        JSON_VALUES | st.sampled_from(["relu", "softmax", "sigmoid", "zeros", 1, 4, {"layer1": 1}, "\udfff"]),
        max_size=6,
    )
)
def test_anything_is_either_accepted_or_refused_with_printable_problems(changes: dict[str, Any]) -> None:
    raw = copy.deepcopy(CAT)
    for path, value in changes.items():
        outer, dot, inner = path.partition(".")
        if dot and isinstance(raw[outer], dict):
            raw[outer][inner] = value
        elif not dot:
            raw[path] = value
    found: list[str] = []
    settings = None
    try:
        settings = parse_settings(json.dumps(raw))
    except SettingsError as refusal:
        found = refusal.problems
    assert (settings is None) == bool(found)
    assert all(problem.isprintable() and problem.encode() for problem in found)
    if settings is not None:
        assert len(settings.sizes) == len(settings.activation_list) == settings.layers


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("epochs=20", "epochs", 20),
        ("learning_rate=1e-3", "learning_rate", 0.001),
        ("strategy=neuron", "strategy", "neuron"),
        ('strategy="neuron"', "strategy", "neuron"),
        ("batch_size=null", "batch_size", None),
        ("neurons.layer1=64", "neurons", {**CAT["neurons"], "layer1": 64}),
        ("threshold=0.1=2", "threshold", "0.1=2"),
        ('neurons={"layer1": 1}', "neurons", {"layer1": 1}),
    ],
)
def test_an_assignment_overrides_one_key(assignment: str, key: str, value: object) -> None:
    before = copy.deepcopy(CAT)
    assert apply_overrides(CAT, [assignment]) == {**CAT, key: value}
    assert before == CAT


def test_later_assignments_win_and_missing_objects_are_made() -> None:
    assert apply_overrides({}, ["a.b=1", "a.b=2", "a.c=3"]) == {"a": {"b": 2, "c": 3}}


@pytest.mark.parametrize("assignment", ["epochs", "=3", ".epochs=3", "neurons.=3", ""])
def test_what_is_no_assignment_is_refused(assignment: str) -> None:
    with pytest.raises(SettingsError, match="expected key=value, such as epochs=20"):
        apply_overrides(CAT, [assignment])


def test_a_key_inside_a_plain_value_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"--set epochs\.x: epochs is 2500"):
        apply_overrides(CAT, ["epochs.x=1"])


def test_a_json_object_can_be_read_without_judging_its_settings() -> None:
    assert load_json_object(b'{"epochs": "many"}') == {"epochs": "many"}
    with pytest.raises(SettingsError, match="found 2 times"):
        load_json_object(b'{"epochs": 1, "epochs": 2}')


@pytest.mark.parametrize(
    ("units", "activation", "classes"),
    [(1, "sigmoid", 2), (2, "softmax", 2), (3, "softmax", 3), (10, "sigmoid", 10)],
)
def test_output_layers_that_fit_the_classes_pass(units: int, activation: str, classes: int) -> None:
    raw = changed(("neurons.layer4", units), ("activations.layer4", activation))
    check_settings_fit(parse_settings(json.dumps(raw)), summary(classes))


def misfit(settings: dict[str, Any], data: DatasetSummary) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        check_settings_fit(parse_settings(json.dumps(settings)), data)
    return refusal.value.problems


@pytest.mark.parametrize(
    ("units", "activation", "classes", "expected"),
    [
        (1, "sigmoid", 10, "neurons.layer4: found 1 for the output layer; expected 10, one for each of the 10 classes"),
        (9, "softmax", 10, "neurons.layer4: found 9 for the output layer; expected 10"),
        (
            2,
            "sigmoid",
            2,
            'neurons.layer4: found 2 with "sigmoid" for the output layer; expected 1 with "sigmoid", or 2',
        ),
        (
            3,
            "softmax",
            2,
            'neurons.layer4: found 3 with "softmax" for the output layer; expected 1 with "sigmoid", or 2',
        ),
    ],
)
def test_an_output_layer_that_does_not_fit_the_classes_is_refused(
    units: int, activation: str, classes: int, expected: str
) -> None:
    [problem] = misfit(changed(("neurons.layer4", units), ("activations.layer4", activation)), summary(classes))
    assert problem.startswith(expected)


def test_weights_of_more_classes_than_a_record_has_room_for_are_refused() -> None:
    output = [("neurons.layer4", 1001), ("activations.layer4", "softmax")]
    [problem] = misfit(changed(*output, ("class_weight", "balanced")), summary(1001))
    assert problem == "class_weight: found with 1,001 classes; expected null, or at most 1,000 classes"


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    check_settings_fit(parse_settings(json.dumps(changed(("batch_size", 209)))), summary(2))
    [problem] = misfit(changed(("batch_size", 210)), summary(2))
    assert problem.startswith("batch_size: found 210; expected at most 209, the examples in train_set_x, or null")


def test_weights_are_of_classes_that_the_dataset_has() -> None:
    [problem] = misfit(changed(("class_weight", {"class 1": 3, "fraud": 20})), summary(2))
    assert problem == "class_weight: found a class 'fraud'; expected classes in list_classes: 'class 0', 'class 1'"
    many = changed(("class_weight", {"fraud": 20}), ("neurons.layer4", 10), ("activations.layer4", "softmax"))
    [problem] = misfit(many, summary(10))
    assert problem.endswith("'class 7' and 2 more")


@pytest.mark.parametrize("weights", ["balanced", {"fraud": 20}])
def test_numbers_have_no_classes_to_weight(weights: object) -> None:
    numbers = DatasetSummary(209, 50, 12288, [], None, "float64", 1.0, targets=["price"])
    [problem] = misfit(changed(("class_weight", weights), ("activations.layer4", "linear")), numbers)
    assert problem.startswith(f"class_weight: found {json.dumps(weights)}; expected null for the numbers")


@pytest.mark.parametrize("strategy", ["neuron", "resident", "fused", "auto"])
def test_averaging_is_for_the_strategy_that_has_something_to_average(strategy: str) -> None:
    [problem] = misfit(changed(("strategy", strategy), ("average_every", 4)), summary(2))
    assert problem.startswith(f'average_every: found 4 with "strategy": "{strategy}"; expected null')
    check_settings_fit(parse_settings(json.dumps(changed(("strategy", "data"), ("average_every", 4)))), summary(2))


def test_a_network_that_no_function_can_hold_is_refused() -> None:
    [problem] = misfit(changed(("neurons.layer1", 65_536)), summary(2))
    assert problem.startswith("neurons: found 805,")
    assert "expected at most 50,000,000: use smaller layers" in problem
    [problem] = misfit(changed(("neurons.layer1", 60_000)), summary(2, m=10_000, features=4))
    assert problem.startswith("batch_size: found null, so that a batch makes 600,130,000 values in all layers")
    in_blocks = changed(("neurons.layer1", 60_000), ("strategy", "data"))
    check_settings_fit(parse_settings(json.dumps(in_blocks)), summary(2, m=10_000, features=4))


def test_every_misfit_is_reported_at_once() -> None:
    found = misfit(changed(("batch_size", 500), ("average_every", 2)), summary(7))
    assert [problem.partition(":")[0] for problem in found] == ["average_every", "neurons.layer4", "batch_size"]
