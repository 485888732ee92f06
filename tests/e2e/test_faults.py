"""Messages that repeat, functions that die, a cache that forgets: the same bits in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from e2e_cloud import CloudUnderTest, Outcome, eventually
from e2e_jobs import FUSED_DATASET, FUSED_PARAMETERS, NEURON_DATASET, NEURON_PARAMETERS


def take_up(cloud: CloudUnderTest, run_id: str) -> None:
    """Have the watch look, as its schedule would, until the run has ended."""

    def look() -> bool:
        if cloud.run(run_id)["status"] == "RUNNING":
            cloud.invoke("trainer", {"state": "watch"})
        return cloud.run(run_id)["status"] not in ("PENDING", "RUNNING")

    eventually(look, f"the end of {run_id}", state=lambda: cloud.run(run_id))


def test_messages_delivered_again_during_a_run_change_nothing(
    cloud: CloudUnderTest, undisturbed_neuron: Outcome
) -> None:
    run_id = cloud.start("repeated-messages", NEURON_DATASET, NEURON_PARAMETERS)
    for epoch in range(1, 6):
        generation = cloud.reached(run_id, epoch)["generation"]
        for passed in (epoch, epoch + 1):
            for state, layer in (("forward", 1), ("forward", 2), ("backward", 2), ("backward", 1)):
                message = {
                    "run_id": run_id,
                    "generation": generation,
                    "state": state,
                    "epoch": passed,
                    "batch": 0,
                    "layer": layer,
                }
                cloud.send("trainer", message)
                cloud.send("neuron", message | {"neuron": 0})
        cloud.send("trainer", {"run_id": run_id, "generation": generation, "state": "start"})
    cloud.completed(run_id)
    assert cloud.outcome(run_id) == undisturbed_neuron
    assert not cloud.redis_keys(run_id)


@pytest.mark.parametrize("role", ["neuron", "trainer"])
def test_a_killed_function_costs_the_run_nothing(cloud: CloudUnderTest, undisturbed_neuron: Outcome, role: str) -> None:
    run_id = cloud.start(f"killed-{role}", NEURON_DATASET, NEURON_PARAMETERS)
    for epoch in (1, 3, 5):
        cloud.reached(run_id, epoch)
        for worker in cloud.workers(role):
            worker.kill()
    take_up(cloud, run_id)
    cloud.completed(run_id)
    assert cloud.outcome(run_id) == undisturbed_neuron
    assert not cloud.redis_keys(run_id)


def test_a_killed_fused_training_goes_on_from_its_checkpoint(cloud: CloudUnderTest, undisturbed_fused: Outcome) -> None:
    run_id = cloud.start("killed-fused", FUSED_DATASET, FUSED_PARAMETERS)
    eventually(lambda: cloud.run(run_id).get("checkpoint", {}).get("epoch"), "a checkpoint")
    for worker in cloud.workers("trainer"):
        worker.kill()
    take_up(cloud, run_id)
    assert cloud.completed(run_id)["generation"] == 2
    assert cloud.outcome(run_id) == undisturbed_fused


def test_a_cache_that_loses_everything_costs_the_run_nothing(
    cloud: CloudUnderTest, undisturbed_neuron: Outcome
) -> None:
    run_id = cloud.start("emptied-cache", NEURON_DATASET, NEURON_PARAMETERS)
    cloud.reached(run_id, 4)
    cloud.redis.flushall()
    take_up(cloud, run_id)
    assert cloud.completed(run_id)["generation"] >= 2
    assert cloud.outcome(run_id) == undisturbed_neuron
    assert not cloud.redis_keys(run_id)


@pytest.fixture
def short_lived_trainer(cloud: CloudUnderTest) -> Iterator[None]:
    """A Trainer with a time limit of a few seconds."""
    name = cloud.names.trainer
    before = cloud.functions.get_function_configuration(FunctionName=name)["Timeout"]
    cloud.functions.update_function_configuration(FunctionName=name, Timeout=4)
    yield
    cloud.functions.update_function_configuration(FunctionName=name, Timeout=before)


@pytest.mark.usefixtures("short_lived_trainer")
def test_fused_hands_over_before_its_time_is_up(cloud: CloudUnderTest, undisturbed_fused: Outcome) -> None:
    run_id = cloud.start("short-lived", FUSED_DATASET, FUSED_PARAMETERS)
    take_up(cloud, run_id)
    run = cloud.completed(run_id)
    assert run["generation"] > 1
    assert any("hands over" in event["what"] for event in run["events"])
    assert cloud.outcome(run_id) == undisturbed_fused


@pytest.fixture
def detected_loops(cloud: CloudUnderTest) -> Iterator[None]:
    """Loop detection as it is for any function that does not opt out."""
    for name in (cloud.names.trainer, cloud.names.neuron):
        assert cloud.functions.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Allow"
        cloud.functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Terminate")
    yield
    for name in (cloud.names.trainer, cloud.names.neuron):
        cloud.functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")


@pytest.mark.usefixtures("detected_loops")
def test_loop_detection_is_on_and_stops_a_run_that_is_not_let_through(cloud: CloudUnderTest) -> None:
    run_id = cloud.start("loop-detected", NEURON_DATASET, NEURON_PARAMETERS)
    eventually(
        lambda: (
            cloud.log_lines("trainer", "RecursiveInvocationException")
            or cloud.log_lines("neuron", "RecursiveInvocationException")
        ),
        "the loop detection",
        state=lambda: json.dumps(cloud.run(run_id), default=str),
    )
    cloud.ledger.request_stop(run_id)
    for name in (cloud.names.trainer, cloud.names.neuron):
        cloud.functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    take_up(cloud, run_id)
    assert cloud.ended(run_id)["status"] in ("STOPPED", "COMPLETED")


def test_fifty_epochs_of_neuron_pass_the_loop_detection(cloud: CloudUnderTest) -> None:
    parameters = NEURON_PARAMETERS | {"epochs": 50, "batch_size": None}
    run = cloud.completed(cloud.start("fifty-epochs", NEURON_DATASET, parameters), seconds=400)
    assert [row["epoch"] for row in cloud.history(run["run_id"])] == list(range(1, 51))
    assert run["invocations"] >= 50 * 2 * (4 + 3 + 2)
