"""What counts of examples by class say of a classifier: accuracy beside the base rate, recall, precision and F1. Pure.

Counts of parts of a set add up to those of the set, and everything here follows from the counts. A figure that is not
defined is None: the precision of a class that is never predicted, the recall of a class without examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypedDict

from lnn.text.characters import quoted

Z = 1.959963984540054
"""Standard deviations of a normal distribution that hold 95% of it: the confidence of all intervals."""

NAMED_CLASSES = 8
"""With more classes than that, a line names only the ``LOWEST`` of lowest recall."""

LOWEST = 3


class ClassCounts(TypedDict):
    """Counts of a set's examples by class, in index order."""

    examples: Sequence[int]
    """Whose true class it is."""
    predicted: Sequence[int]
    """For which it is predicted."""
    right: Sequence[int]
    """Both."""


def as_class_counts(rows: Sequence[Sequence[int]]) -> ClassCounts:
    """The counts of ``lnn.network.class_counts``: true, predicted, and both."""
    examples, predicted, right = rows
    return {"examples": examples, "predicted": predicted, "right": right}


class Interval(NamedTuple):
    """Bounds of a share."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OfClass:
    """How a model does on one class, as scikit-learn's ``precision_recall_fscore_support`` defines it."""

    name: str
    examples: int
    predicted: int
    precision: float | None
    """Share of the examples predicted to be of the class that are."""
    recall: float | None
    """Share of the class's examples that are found."""
    f1: float | None
    """Harmonic mean of both; None where the class is neither present nor predicted."""


@dataclass(frozen=True)
class ClassMetrics:
    """The figures of a classifier on one set of examples, of which there is at least one."""

    classes: Sequence[str]
    counts: ClassCounts

    @property
    def examples(self) -> int:
        return sum(self.counts["examples"])

    @property
    def right(self) -> int:
        return sum(self.counts["right"])

    @property
    def accuracy(self) -> float:
        return self.right / self.examples

    @property
    def interval(self) -> Interval:
        """Of the accuracy on further examples of the same kind."""
        return wilson_interval(self.right, self.examples)

    @property
    def base_rate(self) -> float:
        """The accuracy of always answering the set's most frequent class."""
        return max(self.counts["examples"]) / self.examples

    @property
    def most_frequent(self) -> str:
        """The first of the most frequent classes."""
        return self.classes[self.counts["examples"].index(max(self.counts["examples"]))]

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls (``balanced_accuracy_score``); whoever always answers one class has 1 / classes."""
        recalls = [one.recall for one in self.by_class if one.recall is not None]
        return sum(recalls) / len(recalls)

    @property
    def skill(self) -> float:
        """The balanced accuracy adjusted for chance: 0 for always one answer, 1 for always the right one.

        With one class in the set there is nothing to tell apart, and it is 0.
        """
        chance = 1 / sum(count > 0 for count in self.counts["examples"])
        return (self.balanced_accuracy - chance) / (1 - chance) if chance < 1 else 0.0

    @property
    def beats_base_rate(self) -> bool:
        return self.right > max(self.counts["examples"])

    @property
    def remark(self) -> str | None:
        """One line about a model whose accuracy proves nothing; None for one that beats the base rate.

        A model that gives rare classes more weight may be right less often than always the most frequent class would
        be, and yet tell the classes apart: its recall says so.
        """
        if self.beats_base_rate:
            return None
        reference = f"always answering {quoted(self.most_frequent)} ({self.base_rate:.1%})"
        if self.skill <= 0:
            return f"no better than {reference}"
        return f"no better than {reference}, by accuracy; its balanced accuracy is {self.balanced_accuracy:.1%}"

    @property
    def lowest_recall(self) -> float:
        """Of the class that is found least."""
        return min(one.recall for one in self.by_class if one.recall is not None)

    @property
    def recall_in_words(self) -> str:
        """The recall of each class, or of many classes the lowest, in one line."""
        present = [one for one in self.by_class if one.recall is not None]
        many = len(present) > NAMED_CLASSES
        shown = sorted(present, key=lambda one: one.recall or 0.0)[:LOWEST] if many else present
        told = ", ".join(f"{quoted(one.name)} {one.recall:.1%}" for one in shown)
        return f"lowest {told}" if many else told

    def as_json(self) -> dict[str, Any]:
        """The figures beside the accuracy, as JSON types."""
        return {
            "accuracy_interval": list(self.interval),
            "base_rate": self.base_rate,
            "most_frequent": self.most_frequent,
            "beats_base_rate": self.beats_base_rate,
            "balanced_accuracy": self.balanced_accuracy,
            "by_class": [asdict(one) for one in self.by_class],
        }

    @cached_property
    def by_class(self) -> list[OfClass]:
        """In index order."""
        counts = self.counts
        rows = zip(self.classes, counts["examples"], counts["predicted"], counts["right"], strict=True)
        return [
            OfClass(
                name,
                examples,
                predicted,
                precision=_share(right, predicted),
                recall=_share(right, examples),
                f1=_share(2 * right, examples + predicted),
            )
            for name, examples, predicted, right in rows
        ]


def wilson_interval(right: int, examples: int) -> Interval:
    """Bounds, with 95% confidence, of a share of which ``right`` of so many examples were seen.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference": unlike the usual interval it
    holds for few examples, and for shares near 0 and 1.
    """
    share, weight = right / examples, Z * Z / examples
    middle = share + weight / 2
    reach = Z * math.sqrt(share * (1 - share) / examples + weight / (4 * examples))
    low, high = (max(0.0, min(1.0, (middle + sign * reach) / (1 + weight))) for sign in (-1, 1))
    return Interval(0.0 if right == 0 else low, 1.0 if right == examples else high)


def _share(part: int, of: int) -> float | None:
    return part / of if of else None
