"""One neuron's numbers, of a run of Lambdas and of a run in one piece."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3

from support.e2e_cloud import CloudUnderTest, environment
from support.e2e_jobs import NEURON_DATASET, NEURON_PARAMETERS


def test_a_neuron_has_the_same_numbers_in_one_piece_and_one_by_one(cloud: CloudUnderTest) -> None:
    found: dict[str, dict[str, Any]] = {}
    for strategy in ("neuron", "fused"):
        parameters = NEURON_PARAMETERS | {"strategy": strategy, "epochs": 4}
        run_id = cloud.start(f"looked-at-{strategy}", NEURON_DATASET, parameters)
        cloud.completed(run_id)
        found[strategy] = cloud.lnn_json("neuron", run_id, "--layer", "1", "--neuron", "3", "--epoch", "3")
    alone, lambdas = found["fused"], found["neuron"]
    for name in ("w", "dw", "b", "db"):
        np.testing.assert_allclose(lambdas[name], alone[name], rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(lambdas["examples"], alone["examples"], strict=True):
        assert (ours["index"], ours["label"]) == (theirs["index"], theirs["label"])
        np.testing.assert_allclose([ours["z"], ours["dz"]], [theirs["z"], theirs["dz"]], rtol=1e-9, atol=1e-12)
    # Two batches, each forward and backward; the neuron's own, in the order in which they were made.
    assert [one["state"] for one in lambdas["invocations"]] == ["forward", "backward"] * 2
    assert alone["invocations"] == []
    assert (lambdas["invocations_recorded"], alone["invocations_recorded"]) == (True, False)


def test_a_run_that_records_no_invocations_has_its_numbers_and_says_so(cloud: CloudUnderTest) -> None:
    run_id = cloud.start("silent", NEURON_DATASET, NEURON_PARAMETERS | {"snapshots": 0, "epochs": 3})
    cloud.completed(run_id)
    found = cloud.lnn_json("neuron", run_id, "--layer", "1", "--neuron", "3")
    assert found["epoch"] == 3
    assert not found["invocations_recorded"]
    listed = cloud.s3.list_objects_v2(Bucket=cloud.names.bucket, Prefix=f"runs/{run_id}/")
    keys = [entry["Key"] for entry in listed["Contents"]]
    assert keys
    assert not [key for key in keys if "timeline" in key]


@pytest.mark.parametrize("options", [("view", "--no-open"), ("watch", "--web")])
def test_the_page_follows_a_run_of_lambdas_to_its_end(cloud: CloudUnderTest, options: tuple[str, ...]) -> None:
    run_id = cloud.start("viewed", NEURON_DATASET, NEURON_PARAMETERS)
    cloud.reached(run_id, 1)
    command = [Path(sys.executable).with_name("lnn"), *options, run_id]
    variables = environment(cloud.home) | {"BROWSER": "true"}  # a command that opens nothing
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as view:
        try:
            assert view.stdout is not None
            address = view.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            assert "<title>" in urllib3.request("GET", address).data.decode()
            amid = urllib3.request("GET", f"{address}api/run").json()
            assert amid["epoch"] >= 1
            assert urllib3.request("GET", f"{address}api/epoch/1").json()["epoch"] == 1
            live = urllib3.request("GET", f"{address}api/invocations/0").json()
            cloud.completed(run_id)
            rest = urllib3.request("GET", f"{address}api/invocations/{live['next']}").json()
            own = urllib3.request("GET", f"{address}api/epoch/1/neuron/1/1/invocations").json()["invocations"]
            ended = urllib3.request("GET", f"{address}api/run").json()
            assert (ended["status"], ended["epoch"]) == ("COMPLETED", NEURON_PARAMETERS["epochs"])
            last = urllib3.request("GET", f"{address}api/epoch/{ended['epoch']}").json()
        finally:
            view.terminate()  # not Ctrl-C's signal: what a shell starts in the background ignores that
    shown = cloud.lnn_json("neuron", run_id, "--layer", "2", "--neuron", "1")
    np.testing.assert_allclose(last["layers"][1]["weights"][0], shown["w"], rtol=1e-12)
    of_first = [
        row for row in [*live["rows"], *rest["rows"]] if (row["layer"], row["neuron"], row["epoch"]) == (1, 1, 1)
    ]
    assert [(row["state"], row["start"]) for row in of_first] == [(one["state"], one["start"]) for one in own]
    assert own
