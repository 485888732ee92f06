"""The history's learning rate and norm of the gradient, from training to every form in which people see them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn.data.in_memory import training_data
from lnn.network import init_parameters
from support.aws_account import run_cli, surroundings
from support.inprocess_cloud import InProcessCloud, tiny_dataset

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 4,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.5,
    "l2": 0.5,
    "strategy": "fused",
    "seed": 3,
}
HALVED = {"kind": "step", "every": 1, "factor": 0.5}


def trained(cloud: InProcessCloud, tmp_path: Path, **changes: Any) -> str:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS | changes)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    assert cloud.run_to_end(upload.run_id).status == "COMPLETED"
    return upload.run_id


def test_the_norm_is_that_of_the_gradient_before_it_is_clipped(cloud: InProcessCloud, tmp_path: Path) -> None:
    run_id = trained(cloud, tmp_path, clip_norm=0.01)
    plan = cloud.run(run_id).parsed_plan
    data = training_data(cloud.services.artifacts, run_id, plan)
    first = init_parameters(plan.sizes, plan.activations, "auto", plan.seed, plan.dtype)
    gradient = [array.ravel() for layer in plan.network.gradients(first, data.X, data.Y) for array in layer]
    row = cloud.services.ledger.history(run_id)[0]
    assert row.gradient_norm == pytest.approx(np.linalg.norm(np.concatenate(gradient)))
    assert row.gradient_norm > 0.01, "it was clipped"


def test_every_form_of_the_history_has_both_figures(cloud: InProcessCloud, tmp_path: Path) -> None:
    run_id = trained(cloud, tmp_path, clip_norm=0.01, schedule=HALVED)
    rates = [0.5, 0.25, 0.125, 0.0625]
    history = json.loads(run_cli("history", run_id, "--json").stdout)
    assert [row["learning_rate"] for row in history] == rates
    norms = [row["gradient_norm"] for row in history]
    assert run_cli("export", run_id, "--format", "csv", "-o", "h.csv").exit_code == 0
    with Path("h.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(float(line["learning_rate"]), float(line["gradient_norm"])) for line in lines] == list(
        zip(rates, norms, strict=True)
    )
    heading, *rows = run_cli("history", run_id).stdout.splitlines()
    assert heading.split() == ["epoch", "cost", "train", "test", "rate", "norm", "ms"]
    assert [float(row.split()[4]) for row in rows] == rates
    assert [float(row.split()[5]) for row in rows] == pytest.approx(norms, rel=1e-2)
    assert run_cli("report", run_id, "-o", "report.md").exit_code == 0
    assert "| rate | norm | ms |" in Path("report.md").read_text()


def test_tables_leave_out_a_rate_that_never_changes_and_a_norm_that_nobody_asked_for(
    cloud: InProcessCloud, tmp_path: Path
) -> None:
    run_id = trained(cloud, tmp_path)
    assert run_cli("history", run_id).stdout.splitlines()[0].split() == ["epoch", "cost", "train", "test", "ms"]
    [first, *_] = json.loads(run_cli("history", run_id, "--json").stdout)
    beside = ["base_rate", "balanced_accuracy", "lowest_recall"]
    assert list(first) == ["epoch", "cost", "train_accuracy", "test_accuracy", "learning_rate", *beside]
