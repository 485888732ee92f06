"""What the figures of a final model make people careful about."""

from __future__ import annotations

from typing import Any

import pytest

from lnn.job.class_metrics import ClassMetrics
from lnn.job.remarks import remarks_of_classes, remarks_of_numbers

PLAN = {"activations": ["tanh", "softmax"], "sizes": [4, 3, 2], "learning_rate": 5.0}
GUESSING, FAR_ABOVE = 0.7, 9.0


def metrics(right: list[int], predicted: list[int]) -> ClassMetrics:
    return ClassMetrics(["no", "yes"], {"examples": [50, 50], "predicted": predicted, "right": right})


AT_CHANCE, SKILLED = metrics([50, 0], [100, 0]), metrics([48, 47], [51, 49])


def test_a_model_with_skill_has_no_remark() -> None:
    assert remarks_of_classes(SKILLED, FAR_ABOVE, PLAN) == []


def test_a_model_at_chance_has_one_and_a_second_where_its_cost_is_far_above_guessing() -> None:
    assert len(remarks_of_classes(AT_CHANCE, GUESSING, PLAN)) == 1
    _, diverged = remarks_of_classes(AT_CHANCE, FAR_ABOVE, PLAN)
    assert diverged == (
        "training has diverged or is stuck; lower learning_rate (it is 5): the final cost is 9, and guessing has 0.69"
    )


def test_a_weighted_cost_is_not_compared_with_that_of_guessing() -> None:
    assert len(remarks_of_classes(AT_CHANCE, FAR_ABOVE, {**PLAN, "class_weight": [1.0, 25.0]})) == 1


@pytest.mark.parametrize(
    ("train_r2", "test_r2", "plan", "begins"),
    [
        (0.9, 0.8, PLAN, []),
        (0.9, 0.0, PLAN, ["on the test examples the model is no better"]),
        (-3.0, -2.0, PLAN, ["on the test examples the model is no better", "training has diverged or is stuck"]),
        (-3.0, -2.0, None, ["on the test examples the model is no better"]),
        (None, None, PLAN, []),
    ],
)
def test_numbers_are_compared_with_their_mean(
    train_r2: float | None, test_r2: float | None, plan: dict[str, Any] | None, begins: list[str]
) -> None:
    found = remarks_of_numbers(train_r2, test_r2, plan)
    assert [remark[: len(begin)] for remark, begin in zip(found, begins, strict=True)] == begins
