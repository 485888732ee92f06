"""Scores for people: accuracies in percent, and of regression RMSE, MAE and R2."""

from collections.abc import Iterator, Sequence

from lnn.runs.record import EpochRow, Run, figures_of_updates
from lnn_cli.ui.console import number, share

_KINDS = {"accuracy": "accuracy", "rmse": "RMSE", "mae": "MAE", "r2": "R2"}
OF_UPDATES = {"learning_rate": "rate", "gradient_norm": "norm"}
"""Headings for the figures of updates."""
_IN_TABLES = ("train_rmse", "validation_rmse", "test_rmse", "train_r2", "test_r2")
"""Scores of a regression that a table has room for."""


def label(name: str) -> str:
    """The words for a score of ``lnn.job.scores``, such as ``training accuracy`` or ``test RMSE``."""
    split, _, kind = name.partition("_")
    return f"{'training' if split == 'train' else split} {_KINDS[kind]}"


def text(scored: Run | EpochRow, name: str) -> str:
    """The value of a score or of another figure, or a dash."""
    value: float | None = getattr(scored, name)
    return share(value) if name.endswith("accuracy") else number(value)


def known(run: Run, row: EpochRow | None = None) -> Iterator[tuple[str, str]]:
    """The words and the value of each score that is known of a run, or of one ``row`` of its history."""
    scored = row or run
    for name in run.score_names:
        if getattr(scored, name) is not None:
            yield label(name), text(scored, name)


def in_tables(run: Run) -> list[str]:
    """Names of the scores that a table of a run's history has room for."""
    return [name for name in run.score_names if not run.is_regression or name in _IN_TABLES]


def of_updates_in_tables(history: Sequence[EpochRow]) -> list[str]:
    """The figures of updates for a table of a history: a learning rate only where it changes."""
    rates = {row.learning_rate for row in history}
    return [name for name in figures_of_updates(history) if name != "learning_rate" or len(rates) > 1]


def honest(run: Run) -> Iterator[tuple[str, str]]:
    """The words and the value of each figure that a classifier's test accuracy is to be read with; none if unknown."""
    metrics = run.test_metrics
    if metrics is None:
        return
    low, high = metrics.interval
    yield "95% interval", f"{low:.1%} to {high:.1%}"
    yield "base rate", f"{share(metrics.base_rate)}, by always answering {metrics.most_frequent}"
    yield "balanced accuracy", share(metrics.balanced_accuracy)
    yield "recall", metrics.recall_in_words


def base_rate(run: Run, split: str) -> str:
    """How often always the most frequent class of ``train`` or ``test`` is right, or a dash."""
    return share(run.base_rate(split))


def lowest_recall(run: Run) -> str:
    """The recall of the class that is found least, or a dash."""
    metrics = run.test_metrics
    return "-" if metrics is None else share(metrics.lowest_recall)


def beside_history(run: Run) -> Iterator[str]:
    """Lines that the accuracies of a history are to be read with, as far as they are known.

    The base rate is known from the first epoch on; recall is that of the final model.
    """
    if run.base_rate("test") is not None:
        splits = [("train", "training"), ("validation", "validation"), ("test", "test")]
        known = [f"{base_rate(run, split)} {word}" for split, word in splits if run.base_rate(split) is not None]
        rates = f"{', '.join(known[:-1])} and {known[-1]}" if len(known) > 1 else known[0]
        yield f"base rate: {rates}, by always answering the most frequent class"
    if (metrics := run.test_metrics) is not None:
        yield f"recall of the final model: {metrics.recall_in_words}; balanced accuracy {metrics.balanced_accuracy:.1%}"


def in_short(scored: Run | EpochRow, split: str) -> str:
    """One score of ``train`` or ``test`` for a narrow column: the accuracy, or R2; a dash where there is neither."""
    r2: float | None = getattr(scored, f"{split}_r2")
    return text(scored, f"{split}_accuracy") if r2 is None else f"R2 {number(r2, 3)}"
