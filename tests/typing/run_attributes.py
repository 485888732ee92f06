"""Misspelled attributes of a run, for mypy: where one of them were no error, mypy would report an unused ignore."""

from __future__ import annotations

from lnn.runs.attributes import Facts, public_view
from lnn.runs.record import Run
from lnn.runs.store import Ledger


def read(run: Run) -> object:
    return run.epcoh  # type: ignore[attr-defined]


def read_within(run: Run) -> object:
    return run.latest_checkpoint["epcoh"]  # type: ignore[typeddict-item]


def read_in_public(run: Run) -> object:
    return public_view(run)["owner"]  # type: ignore[typeddict-item]


def written(ledger: Ledger) -> Run:
    return ledger.renew("run-1", 1, epcoh=3)  # type: ignore[call-arg]


def written_with_another_type(ledger: Ledger) -> Run:
    return ledger.renew("run-1", 1, epoch="three")  # type: ignore[arg-type]


def written_by_a_strategy(ledger: Ledger) -> Run:
    return ledger.renew("run-1", 1, owner="me")  # type: ignore[call-arg]


FACTS: Facts = {"epcoh": 3}  # type: ignore[typeddict-unknown-key]
