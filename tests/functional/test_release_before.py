"""Runs that the release before the typed record has begun, and that a crash has interrupted."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.inprocess_cloud import NAMES, InProcessCloud

FOLDER = Path(__file__).parent / "interrupted_runs"
SAME = 1e-12
"""Relative: another machine's BLAS may round otherwise; on one machine the bits are the same."""


def interrupted(cloud: InProcessCloud, strategy: str) -> dict[str, Any]:
    """Put into the cloud what a run has stored until its crash between two batches of epoch 2."""
    stored: dict[str, Any] = json.loads((FOLDER / f"{strategy}.json").read_text())
    cloud.dynamodb.put_item(TableName=NAMES.runs_table, Item=stored["item"])
    for row in stored["rows"]:
        cloud.dynamodb.put_item(TableName=NAMES.costs_table, Item=row)
    for key, content in stored["objects"].items():
        cloud.s3.put_object(Bucket=NAMES.bucket, Key=key, Body=b64decode(content))
    return stored


@pytest.mark.parametrize("strategy", ["fused", "neuron", "resident", "data"])
def test_an_interrupted_run_of_the_release_before_goes_on_to_the_end_it_would_have_had(
    cloud: InProcessCloud, strategy: str
) -> None:
    stored = interrupted(cloud, strategy)
    run = cloud.run_to_end(stored["item"]["run_id"]["S"])
    assert (run.status, run.generation, run.epoch) == ("COMPLETED", 2, 3)
    arrays, history = cloud.outcome(run.run_id)
    for found, expected in zip(arrays, stored["expected"]["arrays"], strict=True):
        np.testing.assert_allclose(np.frombuffer(found), np.frombuffer(b64decode(expected)), rtol=SAME, atol=SAME)
    np.testing.assert_allclose(history, stored["expected"]["history"], rtol=SAME)
