"""The figures of a classifier for people, for the terminal and for reports."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from lnn_cli.ui.console import number, share

if TYPE_CHECKING:
    from lnn.models.evaluation import Evaluation

SHOWN_CLASSES = 20


class Figures(NamedTuple):
    """A table; its first column is text, the others are figures."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def in_short(found: Evaluation) -> list[tuple[str, str]]:
    """Names and values, accuracy beside the base rate first."""
    low, high = found.accuracy_interval
    of_two = [("ROC AUC", number(found.roc_auc))] if len(found.classes) == 2 else []
    return [
        ("accuracy", f"{share(found.accuracy)} of {found.examples} examples (95% interval {low:.1%} to {high:.1%})"),
        ("base rate", f"{share(found.base_rate)}, by always answering {found.most_frequent}"),
        ("balanced accuracy", share(found.balanced_accuracy)),
        *of_two,
        ("log loss", number(found.log_loss)),
        ("calibration error", share(found.calibration_error)),
    ]


def by_class(found: Evaluation) -> Figures:
    """The figures of each class, or of those that are found least."""
    shown, title = found.by_class, "by class"
    if len(shown) > SHOWN_CLASSES:
        present = [one for one in shown if one.recall is not None]
        shown = sorted(present, key=attrgetter("recall"))[:SHOWN_CLASSES]
        title = f"by class: the {len(shown)} of lowest recall"
    headings = ["class", "examples", "predicted", "precision", "recall", "F1"]
    rows = [
        [one.name, f"{one.examples}", f"{one.predicted}", share(one.precision), share(one.recall), share(one.f1)]
        for one in shown
    ]
    if len(found.classes) == 2:
        headings.append("average precision")
        for row, one in zip(rows, shown, strict=True):
            row.append(share(one.average_precision))
    return Figures(title, headings, rows)


def reliability(found: Evaluation) -> Figures:
    """How often the predicted class is right, by its probability."""
    rows = [
        [f"{one.low:.0%} to {one.high:.0%}", f"{one.examples}", share(one.confidence), share(one.accuracy)]
        for one in found.reliability
        if one.examples
    ]
    headings = ("p(predicted)", "examples", "mean p(predicted)", "right")
    return Figures("reliability: how often the predicted class is right, by its probability", headings, rows)
