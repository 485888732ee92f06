"""The scores of a model: their names in a run's record, its history and the registry of models.

Classification has accuracies, regression RMSE, MAE and R2; see ``lnn.network.metrics`` for their definitions. A score
that is not defined or not finite is absent, such as the R2 of targets that are all the same.
"""

from typing import TypedDict

from lnn.job.class_metrics import ClassCounts


class ScoresOfClasses(TypedDict, total=False):
    """Shares of the examples that a classifier gets right."""

    train_accuracy: float
    validation_accuracy: float
    test_accuracy: float


class ScoresOfNumbers(TypedDict, total=False):
    """Errors of predicted numbers."""

    train_rmse: float
    train_mae: float
    train_r2: float
    validation_rmse: float
    validation_mae: float
    validation_r2: float
    test_rmse: float
    test_mae: float
    test_r2: float


class Scores(ScoresOfClasses, ScoresOfNumbers, total=False):
    """The scores of either kind of model."""


class FinalScores(Scores, total=False):
    """The scores of the model that a run has ended with."""

    test_classes: ClassCounts
    """Of the test examples; absent in regression."""


OF_CLASSES = tuple(ScoresOfClasses.__annotations__)
OF_NUMBERS = tuple(ScoresOfNumbers.__annotations__)
SCORES = (*OF_CLASSES, *OF_NUMBERS)
