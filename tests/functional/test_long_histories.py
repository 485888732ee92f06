"""A run of very many short epochs, each with a row, on a DynamoDB that is slow: later, but whole, and in one go."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lnn.runs.history_items import rows_in
from lnn.runs.store import LEASE_SECONDS, Ledger
from support.inprocess_cloud import NAMES, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

ENDURANCE = os.environ.get("LNN_ENDURANCE") == "1"
EPOCHS, CALL_SECONDS = (300_000, 0.2) if ENDURANCE else (30_000, 0.02)
"""A tenth of 300,000 epochs, and a tenth of 200 ms; LNN_ENDURANCE=1 takes two minutes for the whole of both."""


@pytest.mark.timeout(7200 if ENDURANCE else 300)
def test_a_history_that_falls_behind_delays_the_run_and_never_its_lease(
    cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: set[int] = set()
    calls: list[int] = []
    renewals: list[float] = []
    renew = Ledger.renew

    def slow(RequestItems: dict[str, list[Any]]) -> dict[str, Any]:
        time.sleep(CALL_SECONDS)
        written = [request["PutRequest"]["Item"] for request in RequestItems[NAMES.costs_table]]
        calls.append(len(written))
        rows.update(row.epoch for row in rows_in(written))
        return {}

    def renewing(ledger: Ledger, *arguments: Any, **facts: Any) -> Any:
        run = renew(ledger, *arguments, **facts)
        renewals.append(time.monotonic())
        return run

    monkeypatch.setattr(cloud.dynamodb, "batch_write_item", slow)
    monkeypatch.setattr(Ledger, "renew", renewing)
    parameters = {
        "epochs": EPOCHS,
        "layers": 1,
        "neurons": {"layer1": 1},
        "activations": {"layer1": "sigmoid"},
        "learning_rate": 0.01,
        "strategy": "fused",
    }
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), parameters)
    assert cloud.launch(upload) == "launched"
    run = cloud.run_to_end(upload.run_id)
    assert (run.status, run.generation, run.epoch) == ("COMPLETED", 1, EPOCHS)
    assert rows == set(range(1, EPOCHS + 1))
    assert sum(calls) < EPOCHS / 20, "most are written a hundred at a time"
    gaps = [later - earlier for earlier, later in pairwise(renewals)]
    assert max(gaps) < LEASE_SECONDS / 2
