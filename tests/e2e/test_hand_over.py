"""Past Lambda's time limit: the limit is set to seconds, and the bits stay the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from support.e2e_cloud import CloudUnderTest
from support.e2e_jobs import FUSED_DATASET, FUSED_PARAMETERS

LIMIT_SECONDS = 3

JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "fused": ("trainer", FUSED_PARAMETERS | {"record_every": 50}),
    "resident": ("neuron", FUSED_PARAMETERS | {"strategy": "resident", "workers": 2, "epochs": 150}),
}


@contextmanager
def time_limit(cloud: CloudUnderTest, role: str, seconds: int) -> Iterator[None]:
    """Gives a function another time limit, for a while."""
    name = cloud.names.function(role)
    before = cloud.functions.get_function_configuration(FunctionName=name)["Timeout"]
    cloud.functions.update_function_configuration(FunctionName=name, Timeout=seconds)
    try:
        yield
    finally:
        cloud.functions.update_function_configuration(FunctionName=name, Timeout=before)


@pytest.mark.parametrize("strategy", JOBS)
def test_a_run_longer_than_the_limit_is_handed_over_to_the_same_end(cloud: CloudUnderTest, strategy: str) -> None:
    role, parameters = JOBS[strategy]
    undisturbed = cloud.completed(cloud.start(f"long-{strategy}", FUSED_DATASET, parameters))
    assert undisturbed.generation == 1
    with time_limit(cloud, role, LIMIT_SECONDS):
        run = cloud.completed(cloud.start(f"handed-over-{strategy}", FUSED_DATASET, parameters))
    assert run.generation >= 2
    assert any("hands over after epoch" in event["what"] for event in run.events)
    assert cloud.outcome(run.run_id) == cloud.outcome(undisturbed.run_id)
    cloud.await_no_keys(run.run_id)
