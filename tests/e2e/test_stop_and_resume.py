"""Stopping keeps the model; resuming ends in the same bits as if nothing had happened."""

from __future__ import annotations

import pytest

from support.e2e_cloud import CloudUnderTest, Outcome, subjects
from support.e2e_jobs import (
    EXAMPLE_SPACE_DATASET,
    EXAMPLE_SPACE_PARAMETERS,
    FUSED_DATASET,
    FUSED_PARAMETERS,
    NEURON_DATASET,
    NEURON_PARAMETERS,
)

JOBS = {
    "neuron": (NEURON_DATASET, NEURON_PARAMETERS),
    "fused": (FUSED_DATASET, FUSED_PARAMETERS),
    "example_space": (EXAMPLE_SPACE_DATASET, EXAMPLE_SPACE_PARAMETERS),
}


@pytest.mark.parametrize("job", JOBS)
def test_a_stopped_run_goes_on_to_the_same_end(cloud: CloudUnderTest, job: str, request: pytest.FixtureRequest) -> None:
    undisturbed: Outcome = request.getfixturevalue(f"undisturbed_{job}")
    dataset, parameters = JOBS[job]
    run_id = cloud.start(f"stopped-{job}", dataset, parameters)
    cloud.reached(run_id, 1)

    stopped = cloud.lnn_json("stop", run_id, "--wait")
    assert stopped["status"] == "STOPPED"
    assert 1 <= stopped["epochs"] < parameters["epochs"]
    assert stopped["reason"] == f"stopped on request after epoch {stopped['epochs']}"
    assert stopped["model"].endswith(f"{run_id}/params.h5")
    assert cloud.history(run_id) == undisturbed.history[: stopped["epochs"]]
    cloud.await_no_keys(run_id)

    watched = cloud.lnn("resume", run_id)
    assert watched.returncode == 0, watched.stderr
    watched = cloud.lnn("watch", run_id)
    assert watched.returncode == 0, watched.stderr

    run = cloud.completed(run_id)
    assert run.generation == 2
    assert cloud.outcome(run_id) == undisturbed
    cloud.await_no_keys(run_id)
    started, *others = subjects(cloud, run_id, 3)
    assert started.endswith("has started")
    assert others == [
        "LNN: training completed",
        f"LNN: training stopped after epoch {stopped['epochs']} of {parameters['epochs']}",
    ]


def test_a_run_resumed_twice_at_once_trains_once(cloud: CloudUnderTest, undisturbed_neuron: Outcome) -> None:
    run_id = cloud.start("resumed-twice", NEURON_DATASET, NEURON_PARAMETERS)
    cloud.reached(run_id, 1)
    cloud.lnn_json("stop", run_id, "--wait")

    generation = cloud.ledger.reopen(run_id)
    for _ in range(3):
        cloud.send("trainer", {"run_id": run_id, "generation": generation, "state": "start"})

    assert cloud.completed(run_id).generation == 2
    assert cloud.outcome(run_id) == undisturbed_neuron
