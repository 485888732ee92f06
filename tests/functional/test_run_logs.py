"""What a run logs is a part of the price that it adds up, and so of what ``max_usd`` bounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lnn.aws.pricing import logs_usd
from lnn.runs.log_size import CLOSING_BYTES, METRICS_BYTES
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

EPOCHS, UNITS = 3, 2
PARAMETERS: dict[str, Any] = {
    "epochs": EPOCHS,
    "layers": 2,
    "neurons": {"layer1": UNITS - 1, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}
STEPS = EPOCHS * 2 * 2


@pytest.fixture(autouse=True)
def _time_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lnn.runs.services.lambda_usd", lambda *_: 0.0)


def price(cloud: InProcessCloud, tmp_path: Path, log_level: str, **changes: Any) -> float:
    """What a run has cost at its end."""
    environment = replace(cloud.services.environment, log_level=log_level)
    cloud.services = replace(cloud.services, environment=environment)
    upload = cloud.upload(tiny_dataset(tmp_path / "made.h5"), PARAMETERS | changes)
    assert cloud.launch(upload) == "launched"
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "COMPLETED"
    return float(run.usd)


@pytest.mark.parametrize(
    ("log_level", "lines"), [("WARNING", 0), ("INFO", STEPS), ("DEBUG", STEPS + EPOCHS * 2 * UNITS)]
)
def test_a_run_of_neurons_pays_for_a_line_of_each_step_and_at_debug_of_each_neuron(
    cloud: InProcessCloud, tmp_path: Path, log_level: str, lines: int
) -> None:
    expected = logs_usd(lines * CLOSING_BYTES + EPOCHS * METRICS_BYTES)
    assert price(cloud, tmp_path, log_level, strategy="neuron") == pytest.approx(expected)


@pytest.mark.parametrize(("strategy", "workers"), [("fused", None), ("data", 2)])
def test_a_run_of_long_invocations_pays_for_their_lines_and_the_metrics(
    cloud: InProcessCloud, tmp_path: Path, strategy: str, workers: int | None
) -> None:
    expected = logs_usd((workers or 1) * CLOSING_BYTES + EPOCHS * METRICS_BYTES)
    found = price(cloud, tmp_path, "INFO", strategy=strategy, workers=workers)
    # The last line of metrics may be written after the sum was taken.
    assert expected - logs_usd(EPOCHS * METRICS_BYTES) <= found <= expected + 1e-12


def test_max_usd_bounds_what_is_logged(cloud: InProcessCloud, tmp_path: Path) -> None:
    environment = replace(cloud.services.environment, log_level="DEBUG")
    cloud.services = replace(cloud.services, environment=environment)
    limit = 1.1 * logs_usd(2 * (4 + 4) * CLOSING_BYTES + 2 * METRICS_BYTES)
    upload = cloud.upload(
        tiny_dataset(tmp_path / "made.h5"), PARAMETERS | {"strategy": "neuron", "epochs": 50, "max_usd": limit}
    )
    assert cloud.launch(upload) == "launched"
    run = cloud.run_to_end(upload.run_id)
    assert (run.status, run.epoch) == ("STOPPED", 2)
    assert "max_usd" in run.reason
