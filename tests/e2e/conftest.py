"""Undisturbed trainings on the local cloud, for comparison with what becomes of disturbed ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn.job.plan import EXAMPLE_SPACE
from support.e2e_cloud import CloudUnderTest, Outcome
from support.e2e_jobs import (
    EXAMPLE_SPACE_DATASET,
    EXAMPLE_SPACE_PARAMETERS,
    FUSED_DATASET,
    FUSED_PARAMETERS,
    NEURON_DATASET,
    NEURON_PARAMETERS,
)

HERE = Path(__file__).parent
TEST_SECONDS = 600
"""The waits inside a test end earlier and say more; this one ends a test that hangs."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def undisturbed_neuron(cloud: CloudUnderTest) -> Outcome:
    """What the ``neuron`` job leads to when nothing happens to it."""
    run_id = cloud.start("neuron-undisturbed", NEURON_DATASET, NEURON_PARAMETERS)
    cloud.completed(run_id)
    return cloud.outcome(run_id)


@pytest.fixture(scope="session")
def undisturbed_fused(cloud: CloudUnderTest) -> Outcome:
    """What the ``fused`` job leads to when nothing happens to it."""
    run_id = cloud.start("fused-undisturbed", FUSED_DATASET, FUSED_PARAMETERS)
    cloud.completed(run_id)
    return cloud.outcome(run_id)


@pytest.fixture(scope="session")
def undisturbed_example_space(cloud: CloudUnderTest) -> Outcome:
    """What the job in example space leads to when nothing happens to it."""
    run_id = cloud.start("example-space-undisturbed", EXAMPLE_SPACE_DATASET, EXAMPLE_SPACE_PARAMETERS)
    assert cloud.completed(run_id).plan["formulation"] == EXAMPLE_SPACE
    return cloud.outcome(run_id)
