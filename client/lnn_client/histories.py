"""A run's history as programs read it: the figures of each epoch, and what its accuracies are to be read with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from lnn.runs.record import EpochRow, Run, figures_of_updates

Figures: TypeAlias = dict[str, float | None]

BASE_RATE = "base_rate"
"""The accuracy of always answering the test set's most frequent class: known from the first epoch on, and constant."""

OF_MODEL = ("balanced_accuracy", "lowest_recall")
"""Only the end of a run counts test examples by class: these are of the epoch whose parameters the model has."""


def names_of_figures(run: Run, history: Sequence[EpochRow], *more: str) -> list[str]:
    """Names of the figures that each row of a history has, in order.

    ``more`` are fields of ``EpochRow`` beyond costs, scores and what the history has of updates. What accuracies are to
    be read with comes last, as far as it is known; regression has none of it.
    """
    names = ["epoch", *run.cost_names, *run.score_names, *figures_of_updates(history), *more]
    if run.base_rate("test") is not None:
        names.append(BASE_RATE)
    if run.test_metrics is not None and any(row.epoch == run.model_epoch for row in history):
        names += OF_MODEL
    return names


def before_first_gap(run: Run, history: Sequence[EpochRow]) -> list[EpochRow]:
    """The rows that no row of an earlier epoch can follow: a run's writers work side by side."""
    every = int(run.settings.get("record_every", 1))
    return [row for number, row in enumerate(history, start=1) if row.epoch == number * every]


def figures(run: Run, history: Sequence[EpochRow], *more: str) -> list[Figures]:
    """The figures of each row by ``names_of_figures``, accuracies as shares of 1; None where one is not known."""
    names, base_rate, metrics = names_of_figures(run, history, *more), run.base_rate("test"), run.test_metrics
    rows = []
    for row in history:
        beside: Figures = {BASE_RATE: base_rate}
        of_model = metrics if row.epoch == run.model_epoch else None
        beside |= {name: None if of_model is None else getattr(of_model, name) for name in OF_MODEL}
        rows.append({name: beside[name] if name in beside else getattr(row, name) for name in names})
    return rows
