"""Lambda's loop detection is on: it would stop ``neuron``, had its functions not opted out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.e2e_cloud import CloudUnderTest, eventually
from support.e2e_jobs import blobs, encode, network

DATASET = encode(blobs())
ROLES = ("trainer", "neuron")


def set_loops(cloud: CloudUnderTest, value: str) -> None:
    for role in ROLES:
        cloud.functions.put_function_recursion_config(FunctionName=cloud.names.function(role), RecursiveLoop=value)


@pytest.fixture
def terminated_loops(cloud: CloudUnderTest) -> Iterator[None]:
    """Trainer and Neuron as they would be without the setting."""
    set_loops(cloud, "Terminate")
    try:
        yield
    finally:
        set_loops(cloud, "Allow")


def test_only_the_functions_that_invoke_each_other_may_loop(cloud: CloudUnderTest) -> None:
    settings = {
        role: cloud.functions.get_function_recursion_config(FunctionName=cloud.names.function(role))["RecursiveLoop"]
        for role in ("launch", *ROLES)
    }
    assert settings == {"launch": "Terminate", "trainer": "Allow", "neuron": "Allow"}


def test_a_run_that_the_detection_stopped_can_be_healed(cloud: CloudUnderTest, terminated_loops: None) -> None:
    parameters = network(2, 1, strategy="neuron", epochs=8)

    def given_up() -> int:
        return sum(cloud.dead_letters(role) for role in ROLES)

    before = given_up()
    run_id = cloud.start("looping", DATASET, parameters)
    eventually(lambda: given_up() > before, "an event given up", state=lambda: cloud.run(run_id))
    assert any(cloud.log_lines(role, "RecursiveInvocationException") for role in ROLES)
    stalled = cloud.run(run_id)
    assert stalled.status == "RUNNING"
    assert stalled.epoch < parameters["epochs"]

    set_loops(cloud, "Allow")
    healed = cloud.healed(run_id)
    assert healed.generation > 1
    assert [row["epoch"] for row in cloud.history(run_id)] == list(range(1, 9))
