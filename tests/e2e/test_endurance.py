"""A long ``neuron`` run under steady fire, and a wide one. They take minutes: only LNN_ENDURANCE=1 asks for them."""

from __future__ import annotations

import os
import random
import time

import psutil
import pytest

from support.e2e_cloud import CloudUnderTest
from support.e2e_jobs import NEURON_DATASET, NEURON_PARAMETERS, blobs, encode, network

pytestmark = pytest.mark.skipif(os.environ.get("LNN_ENDURANCE") != "1", reason="takes minutes; LNN_ENDURANCE=1 runs it")

PARAMETERS = NEURON_PARAMETERS | {"epochs": 300, "batch_size": None, "checkpoint_seconds": 20}
KILL_SECONDS, WATCH_SECONDS, LIMIT_SECONDS = 10.0, 5.0, 900.0


def kill_one(cloud: CloudUnderTest, dice: random.Random) -> bool:
    """SIGKILL to one of the processes that the run's functions are in."""
    processes = [*cloud.workers("neuron"), *cloud.workers("trainer")]
    if not processes:
        return False
    try:
        dice.choice(processes).kill()
    except psutil.NoSuchProcess:
        return False
    return True


@pytest.mark.timeout(3 * LIMIT_SECONDS)
def test_300_epochs_with_a_worker_killed_every_ten_seconds_end_in_the_same_bits(
    cloud: CloudUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    undisturbed = cloud.completed(cloud.start("endurance-undisturbed", NEURON_DATASET, PARAMETERS), LIMIT_SECONDS)
    alone = time.monotonic() - began

    dice = random.Random(1)  # noqa: S311 - a test's dice
    began = time.monotonic()
    run_id = cloud.start("endurance", NEURON_DATASET, PARAMETERS)
    kills, next_kill, next_watch = 0, began + KILL_SECONDS, began + WATCH_SECONDS
    while not cloud.run(run_id).has_ended:
        now = time.monotonic()
        assert now < began + LIMIT_SECONDS, cloud.run(run_id)
        if now >= next_kill:
            kills += kill_one(cloud, dice)
            next_kill = now + KILL_SECONDS
        if now >= next_watch:
            cloud.send("trainer", {"state": "watch"})
            next_watch = now + WATCH_SECONDS
        time.sleep(0.2)
    run = cloud.completed(run_id)
    took = time.monotonic() - began
    with capsys.disabled():
        print(
            f"\nundisturbed {alone:.0f} s; {kills} kills: {took:.0f} s, {run.generation} generations, "
            f"{run.disturbances}, {run.invocations} invocations"
        )
    assert kills >= alone // KILL_SECONDS - 1
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    assert [row["epoch"] for row in cloud.history(run_id)] == list(range(1, 301))
    cloud.await_no_keys(run_id)


@pytest.mark.timeout(2 * LIMIT_SECONDS)
def test_a_layer_of_2500_neurons_completes_without_a_take_over(
    cloud: CloudUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    parameters = network(2500, 1, epochs=2, dtype="float64")
    run_id = cloud.start("wide", encode(blobs()), parameters | {"strategy": "neuron"})
    run = cloud.completed(run_id, LIMIT_SECONDS)
    fused = cloud.completed(cloud.start("wide-fused", encode(blobs()), parameters | {"strategy": "fused"}))
    with capsys.disabled():
        print(f"\n2,500 neurons: {run.invocations} invocations in {run.finished_at - run.created_at:.0f} s")
    assert (run.generation, run.disturbances["takeovers"]) == (1, 0)
    assert run.cost == pytest.approx(fused.cost, rel=1e-9)
