"""A run's data as the network's matrices, loaded from S3 once per warm environment."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lnn.data.matrices import label_matrix, standardize
from lnn.job.plan import Plan
from lnn.network.types import Array, Targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.models.store import Artifacts

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = "train_x", "train_y", "test_x", "test_y"
TRAIN_W = "train_w"
"""Weights of the training examples (m,), float64, whose mean is 1; only where the plan says that they have weights."""
VALIDATION_X, VALIDATION_Y = "validation_x", "validation_y"
"""Names of the tensors that Launch stores, examples first, in the dataset's own dtype; the features in shards."""


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Examples that training does not see; none in a run without a validation set."""

    X: Array
    """(n, m)"""
    Y: Array
    """(units of the output, m)"""
    y: Targets
    """Class indices (m,), or numbers (m, targets)"""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Standardized examples as columns, and their labels."""

    X: Array
    """(n, m)"""
    Y: Array
    """(units of the output, m); a row more where examples have weights"""
    y: Targets
    """Class indices (m,), or numbers (m, targets)"""
    X_test: Array
    """(n, m_test)"""
    y_test: Targets
    """(m_test,) or (m_test, targets)"""
    validation: ValidationSet
    Y_test: Array | None = None
    """(units of the output, m_test); None where nobody asks for the cost of the test set."""


_loaded: dict[str, TrainingData] = {}
_labels: dict[str, Array] = {}

WhileLoading = Callable[[], AbstractContextManager[object]]
"""A context for the download from S3, which may take longer than a lease lasts; entered only then."""


def train_labels(artifacts: Artifacts, run_id: str, plan: Plan, while_loading: WhileLoading = nullcontext) -> Array:
    """Y of the training set, as ``TrainingData`` has it, for callers that do not need the features."""
    if run_id in _loaded:
        return _loaded[run_id].Y
    if run_id not in _labels:
        _labels.clear()
        with while_loading():
            y = artifacts.get_tensor(run_id, TRAIN_Y)
            _labels[run_id] = label_matrix(y, plan.sizes[-1], plan.dtype, train_weights(artifacts, run_id, plan))
    return _labels[run_id]


def training_data(
    artifacts: Artifacts, run_id: str, plan: Plan, while_loading: WhileLoading = nullcontext
) -> TrainingData:
    """The data of a run. Only the latest run's is cached, so that memory holds one data set."""
    if run_id not in _loaded:
        _loaded.clear()
        with while_loading():
            _loaded[run_id] = _all(artifacts, run_id, plan)
    return _loaded[run_id]


def train_weights(artifacts: Artifacts, run_id: str, plan: Plan) -> NDArray[np.float64] | None:
    """The weights of the training examples, (m,); None where all count alike."""
    return artifacts.get_tensor(run_id, TRAIN_W) if plan.weighted_examples else None


def _all(artifacts: Artifacts, run_id: str, plan: Plan) -> TrainingData:
    # Labels download beside the features, which come one shard at a time: latency costs more than transfer.
    with ThreadPoolExecutor(2) as pool:
        waited_for = [pool.submit(artifacts.get_tensor, run_id, name) for name in (TRAIN_Y, TEST_Y)]
        weights = pool.submit(train_weights, artifacts, run_id, plan)
        validation = validation_set(artifacts, run_id, plan)
        X = _features(artifacts, run_id, TRAIN_X, plan, plan.examples)
        X_test = _features(artifacts, run_id, TEST_X, plan, plan.test_examples)
    y, y_test = (labels.result() for labels in waited_for)
    return TrainingData(
        X=X,
        Y=label_matrix(y, plan.sizes[-1], plan.dtype, weights.result()),
        y=y,
        X_test=X_test,
        y_test=y_test,
        validation=validation,
        Y_test=label_matrix(y_test, plan.sizes[-1], plan.dtype) if plan.has_test_cost else None,
    )


def validation_set(artifacts: Artifacts, run_id: str, plan: Plan) -> ValidationSet:
    """The validation set of a run, from S3."""
    X = _features(artifacts, run_id, VALIDATION_X, plan, plan.validation_examples)
    y = artifacts.get_tensor(run_id, VALIDATION_Y) if plan.validation_examples else np.empty(0, np.int64)
    return ValidationSet(X, label_matrix(y, plan.sizes[-1], plan.dtype), y)


def _features(artifacts: Artifacts, run_id: str, name: str, plan: Plan, examples: int) -> Array:
    """All shards, standardized, as X (n, examples): a transposed view, so an example's features lie side by side."""
    rows = np.empty((examples, plan.sizes[0]), plan.dtype)
    for index, start in enumerate(range(0, examples, plan.shard_rows)):
        standardize(artifacts.get_shard(run_id, name, index), plan.scale, rows[start : start + plan.shard_rows])
    return rows.T
