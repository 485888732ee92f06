"""A run's tensors as the network wants them, loaded from S3 once for each warm environment."""

from __future__ import annotations

from dataclasses import dataclass

from lnn.artifacts import Artifacts
from lnn.dataset import label_matrix, standardize
from lnn.network.types import Array, Labels
from lnn.plan import Plan

TRAIN_X, TRAIN_Y, TEST_X, TEST_Y = "train_x", "train_y", "test_x", "test_y"
"""Names of the tensors that Launch stores, examples first, in the dataset's own dtype."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Standardized examples as columns, and their labels."""

    X: Array
    """(n, m)"""
    Y: Array
    """(units of the output, m)"""
    y: Labels
    """(m,)"""
    X_test: Array
    """(n, m_test)"""
    y_test: Labels
    """(m_test,)"""


_loaded: dict[str, TrainingData] = {}


def training_data(artifacts: Artifacts, run_id: str, plan: Plan) -> TrainingData:
    """The data of a run. Only the last run's is kept, so that memory holds one data set."""
    data = _loaded.get(run_id)
    if data is None:
        _loaded.clear()
        y = artifacts.get_tensor(run_id, TRAIN_Y)
        data = _loaded[run_id] = TrainingData(
            X=standardize(artifacts.get_tensor(run_id, TRAIN_X), plan.scale, plan.dtype),
            Y=label_matrix(y, plan.sizes[-1], plan.dtype),
            y=y,
            X_test=standardize(artifacts.get_tensor(run_id, TEST_X), plan.scale, plan.dtype),
            y_test=artifacts.get_tensor(run_id, TEST_Y),
        )
    return data
