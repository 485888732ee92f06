"""What no deployment can run: settings that are right by themselves and do not fit their dataset, or each other."""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from lnn.data.class_names import kept
from lnn.data.dataset import DatasetSummary
from lnn.errors import SettingsError
from lnn.job.hyperparameters import BALANCED, Settings
from lnn.network import LINEAR, balanced_weights
from lnn.network.types import Targets
from lnn.strategies.registry import AUTO, STRATEGIES
from lnn.text.characters import quoted

MAX_WEIGHTS = 50_000_000
"""400 MB in float64, of which training holds two (sgd) to four (adam) copies."""
MAX_ACTIVATIONS = 250_000_000
"""Values that the units of all layers put out for one batch: 2 GB in float64. ``data`` makes them block by block."""

MAX_WEIGHTED_CLASSES = 1_000
"""A run's record, of at most 400 KB, has a weight for each."""

NAMES_SHOWN = 8
"""Class names in one error."""


def check_settings_fit(settings: Settings, summary: DatasetSummary) -> None:
    """Refuse settings that are right by themselves but do not fit this dataset, or each other.

    Raises SettingsError with every problem.
    """
    problems = []
    in_blocks = settings.strategy != AUTO and STRATEGIES[settings.strategy].own_examples
    if settings.average_every is not None and not in_blocks:
        able = " or ".join(f'"{strategy.name}"' for strategy in STRATEGIES.values() if strategy.own_examples)
        problems.append(
            f'average_every: found {settings.average_every} with "strategy": "{settings.strategy}"; expected null, or '
            f'"strategy": {able}: only workers with examples of their own have parameters to average'
        )
    if problem := _output_problem(settings, summary):
        problems.append(problem)
    problems += _class_weight_problems(settings, summary)
    problems += _validation_problems(settings, summary)
    examples, _ = summary.divided(settings.validation)
    if settings.batch_size is not None and settings.batch_size > examples:
        left = "the examples in train_set_x" + (" that are not held out" if examples < summary.m else "")
        problems.append(
            f"batch_size: found {settings.batch_size}; expected at most {examples}, {left}, or null for the full batch"
        )
    sizes = [summary.features, *settings.sizes]
    weights = sum(n_in * n_out for n_in, n_out in pairwise(sizes))
    if weights > MAX_WEIGHTS:
        problems.append(
            f"neurons: found {weights:,} weights in all, with {summary.features} features; "
            f"expected at most {MAX_WEIGHTS:,}: use smaller layers"
        )
    values = sum(settings.sizes) * min(settings.batch_size or examples, examples)
    if values > MAX_ACTIVATIONS and not in_blocks:
        problems.append(
            f"batch_size: found {json.dumps(settings.batch_size)}, so that a batch makes {values:,} values in all "
            f"layers; expected at most {MAX_ACTIVATIONS:,}: use smaller batches or layers"
        )
    if problems:
        raise SettingsError(problems)


def _class_weight_problems(settings: Settings, summary: DatasetSummary) -> list[str]:
    """Weights of classes against the dataset's own."""
    if settings.class_weight is not None and summary.targets:
        found = json.dumps(settings.class_weight)[:60]
        return [f"class_weight: found {found}; expected null for the numbers in train_set_y: they have no classes"]
    if settings.class_weight is not None and len(summary.classes) > MAX_WEIGHTED_CLASSES:
        found = f"class_weight: found with {len(summary.classes):,} classes"
        return [f"{found}; expected null, or at most {MAX_WEIGHTED_CLASSES:,} classes"]
    classes = ", ".join(map(quoted, summary.classes[:NAMES_SHOWN]))
    more = len(summary.classes) - NAMES_SHOWN
    expected = f"{classes} and {more} more" if more > 0 else classes
    return [
        f"class_weight: found a class {quoted(name[:60])}; expected classes in list_classes: {expected}"
        for name in weights_by_class(settings)
        if name not in summary.classes
    ]


def class_weights(settings: Settings, classes: Sequence[str], y: Targets) -> list[float]:
    """The weight of each class, by the labels y (m,) to train with; empty where all count alike."""
    if settings.class_weight is None:
        return []
    if settings.class_weight == BALANCED:
        return balanced_weights(np.bincount(y, minlength=len(classes)).tolist())
    weights = weights_by_class(settings)
    return [float(weights.get(name, 1)) for name in classes]


def weights_by_class(settings: Settings) -> dict[str, float]:
    """The weights in ``class_weight`` by the names that classes have in datasets; empty where it has none."""
    named = settings.class_weight if isinstance(settings.class_weight, dict) else {}
    return {kept(name): weight for name, weight in named.items()}


def _validation_problems(settings: Settings, summary: DatasetSummary) -> Iterator[str]:
    """Settings that need a validation set against what the dataset has."""
    share, own = settings.validation, summary.m_validation
    if share is not None and own:
        yield (
            f"validation: found {share:g}, and validation_set_x with {own:,} examples; expected one of them: "
            "leave validation out"
        )
    elif share is not None and not summary.divided(share)[1]:
        yield (
            f"validation: found {share:g} of a training set with one example of each class; expected two of a class "
            "at least: add examples, or leave validation out"
        )
    elif settings.patience is not None and share is None and not own:
        yield (
            f"patience: found {settings.patience} and no validation set; expected null, or a share of the training "
            'set to hold out, such as "validation": 0.2'
        )


def _output_problem(settings: Settings, summary: DatasetSummary) -> str:
    """The output layer against the labels: one sigmoid unit for two classes, else a unit for each class or target."""
    last, classes, targets = f"layer{settings.layers}", len(summary.classes), len(summary.targets)
    units, activation = settings.neurons[last], settings.activations[last]
    found = f'found {units} with "{activation}"' + ("" if settings.loss == AUTO else f' and "loss": "{settings.loss}"')
    if targets and (units, activation) != (targets, LINEAR):
        of_targets = "1 target" if targets == 1 else f"{targets} targets"
        return (
            f'neurons.{last}: {found} for the output layer; expected {targets} with "{LINEAR}" and "loss": "{AUTO}" '
            f"for the {of_targets} in train_set_y; if they are classes, save integers, and their names as list_classes"
        )
    if classes and activation == LINEAR:
        units = 1 if classes == 2 else classes
        kind = "sigmoid" if classes == 2 else "softmax"
        return (
            f'neurons.{last}: {found} for the output layer; expected {units} with "{kind}" and "loss": "{AUTO}" for '
            f"the {classes} classes in list_classes; if they are numbers to predict, save them as float64, and no "
            "list_classes"
        )
    if classes == 2 and (units, activation) not in {(1, "sigmoid"), (2, "softmax")}:
        return (
            f'neurons.{last}: found {units} with "{activation}" for the output layer; expected 1 with "sigmoid", '
            'or 2 with "softmax", for the 2 classes in list_classes'
        )
    if classes > 2 and units != classes:
        return (
            f"neurons.{last}: found {units} for the output layer; expected {classes}, "
            f"one for each of the {classes} classes in list_classes"
        )
    return ""
