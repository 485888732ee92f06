"""Parameters that fit the data, for commands to which nobody has named any, and what is said about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lnn.errors import InputError
from lnn_cli.ui.console import note
from lnn_client.datasets import check_dataset
from lnn_client.parameters import propose

if TYPE_CHECKING:
    from lnn.data.dataset import DatasetSummary
    from lnn_client.dataset_files import Made


def summary_if_valid(dataset: Path) -> DatasetSummary | None:
    """What is in a dataset; None for one that cannot be taken: what is wrong is said with the parameters' mistakes."""
    try:
        return check_dataset(dataset)
    except InputError:
        return None


def fitting(path: Path, summary: DatasetSummary | None, made: Made | None, by_hand: Sequence[str]) -> list[str]:
    """What of the parameters at ``path`` is changed, as by ``--set``, so that they fit the data; says so.

    What is set ``by_hand`` stands above it. Nothing changes where nobody has counted what is in the data.
    """
    facts = _facts(summary, made)
    if facts is None:
        return []
    classes, examples, features = facts
    proposal = propose(path, classes, examples, features, by_hand)
    learned = f"{classes} classes" if classes else "numbers to predict"
    if proposal.changes:
        note(f"chosen for {learned}, {examples:,} examples of {features:,} features: {proposal.network}")
        note(f"in place of those in {path}: {', '.join(proposal.changes)}; other values: --set, or -p FILE")
    return proposal.changes


def _facts(summary: DatasetSummary | None, made: Made | None) -> tuple[int, int, int] | None:
    """Classes, training examples and features, as far as somebody has counted them."""
    if made is not None:
        return len(made.classes), made.train.total(), made.features
    # More targets than one are for the person to name.
    if summary is not None and len(summary.targets) <= 1:
        return len(summary.classes), summary.m, summary.features
    return None
