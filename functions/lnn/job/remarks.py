"""What the figures of a final model should make people careful about, a line each. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lnn.job.class_metrics import ClassMetrics

HUGE = 2.0
"""Times the cost of guessing: a model that learns ends below it, and one at chance near it."""

HOPELESS_R2 = -1.0
"""In training: a squared error of twice the targets' variance."""


def remarks_of_classes(
    metrics: ClassMetrics | None, cost: float | None, plan: Mapping[str, Any] | None
) -> Sequence[str]:
    """About a classifier with these figures of the test, and such a final cost in training.

    ``plan`` is the run's; None asks for what follows from the model alone.
    """
    if metrics is None or metrics.remark is None:
        return []
    found = [f"on the test examples the model is {metrics.remark}"]
    # With class weights the cost of guessing is another one.
    if plan is not None and cost is not None and not plan.get("class_weight"):
        guessing = cost_of_guessing(plan["activations"][-1], plan["sizes"][-1])
        if cost > HUGE * guessing:
            found.append(f"{_diverged(plan)}: the final cost is {cost:.4g}, and guessing has {guessing:.2g}")
    return found


def remarks_of_numbers(train_r2: float | None, test_r2: float | None, plan: Mapping[str, Any] | None) -> Sequence[str]:
    """About a model of regression with these scores; ``plan`` as above."""
    found = []
    if test_r2 is not None and test_r2 <= 0:
        found.append(
            f"on the test examples the model is no better than always predicting their mean: R2 is {test_r2:.3g}"
        )
    if plan is not None and train_r2 is not None and train_r2 < HOPELESS_R2:
        found.append(f"{_diverged(plan)}: R2 in training is {train_r2:.3g}")
    return found


def cost_of_guessing(output: str, units: int) -> float:
    """The cross-entropy where every class has the same probability; one sigmoid unit, or K of them, say one half."""
    return units * math.log(2) if output == "sigmoid" else math.log(units)


def _diverged(plan: Mapping[str, Any]) -> str:
    return f"training has diverged or is stuck; lower learning_rate (it is {plan['learning_rate']:g})"
