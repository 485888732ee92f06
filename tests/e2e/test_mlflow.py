"""``lnn export --format mlflow`` into a real server of MLflow, read back as its users read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn.models.model_file import load_model
from lnn.runs.record import Run
from lnn_tools.local_cloud.ports import claim_port
from support.e2e_cloud import CloudUnderTest, environment, eventually
from support.e2e_jobs import encode, network, pictures
from support.repository import REPOSITORY

EPOCHS = 6

# The server's own package reads the model, as a user of it would.
PREDICTED = """
import json, sys
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
(outputs,) = model.predict(model.input_example).values()
schema = model.metadata.signature
example = {name: values.tolist() for name, values in model.input_example.items()}
print(json.dumps([example, outputs.tolist(), str(schema.inputs), str(schema.outputs)]))
"""


def answer_of(url: str, body: bytes | None = None) -> bytes:
    """What this test's own server answers."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - see above
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - see above
        content: bytes = answer.read()
    return content


class Server:
    """A running MLflow."""

    def __init__(self, address: str, tools: Path, home: Path) -> None:
        self.address, self._tools, self._home = address, tools, home

    def ask(self, call: str, **fields: Any) -> dict[str, Any]:
        """The answer of its API: to GET without fields, and to POST with some."""
        body = json.dumps(fields).encode() if fields else None
        return dict(json.loads(answer_of(f"{self.address}/api/2.0/{call}", body)))

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The runs of an experiment that were not deleted."""
        found = self.ask("mlflow/experiments/search", max_results=100)["experiments"]
        places = [one["experiment_id"] for one in found if one["name"] == experiment]
        return list(self.ask("mlflow/runs/search", experiment_ids=places).get("runs", []))

    def export(self, run: str, *options: str) -> subprocess.CompletedProcess[str]:
        """``lnn export`` where MLflow is installed beside it."""
        return self._run("lnn", "export", run, "--format", "mlflow", *options)

    def predicted(self, model: str) -> Any:
        done = self._run("python", "-c", PREDICTED, model)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._tools / program, *arguments],
            env=environment(self._home) | {"COLUMNS": "200", "MLFLOW_TRACKING_URI": self.address},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


@pytest.fixture(scope="module")
def tools() -> Path:
    """The programs of an environment with MLflow."""
    done = subprocess.run(
        [REPOSITORY / "scripts" / "setup.sh", "mlflow"],
        env=environment(REPOSITORY / ".lnn") | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return REPOSITORY / ".venv-mlflow" / "bin"


@pytest.fixture(scope="module")
def server(cloud: CloudUnderTest, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a file store."""
    folder, port = tmp_path_factory.mktemp("mlflow"), claim_port("", None, "MLflow")
    address = f"http://127.0.0.1:{port}"
    # The newest MLflow asks whether a file store is meant.
    variables = {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [tools / "mlflow", "server", "--backend-store-uri", (folder / "store").as_uri(), "--port", str(port)],
            env={**os.environ, **variables},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def is_up() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(OSError):
            return answer_of(f"{address}/health") == b"OK"
        return False

    try:
        eventually(is_up, "MLflow's server", state=(folder / "log").read_text)
        yield Server(address, tools, cloud.home)
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


@pytest.fixture(scope="module")
def run(cloud: CloudUnderTest) -> Run:
    settings = network(3, 1, strategy="fused", epochs=EPOCHS, name="bright", tags=["e2e"])
    return cloud.completed(cloud.start("mlflow", encode(pictures()), settings))


@pytest.fixture(scope="module")
def exported(server: Server, run: Run) -> dict[str, Any]:
    """The run in MLflow."""
    done = server.export(run.run_id)
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = server.runs("lnn")
    assert done.stdout.strip() == f"{server.address}/#/experiments/{found['info']['experiment_id']}/runs/{_id(found)}"
    return found


def _id(found: dict[str, Any]) -> str:
    return str(found["info"]["run_id"])


def test_settings_status_and_times_are_those_of_the_run(exported: dict[str, Any], run: Run) -> None:
    settings = {one["key"]: one["value"] for one in exported["data"]["params"]}
    assert settings["learning_rate"] == "0.1"
    assert (settings["network"], settings["strategy"]) == ("48-3-1", "fused")
    assert json.loads(settings["neurons"]) == {"layer1": 3, "layer2": 1}
    info = exported["info"]
    assert (info["run_name"], info["status"]) == ("bright", "FINISHED")
    assert info["start_time"] == round((run.training_started_at or 0) * 1000)
    tags = {one["key"]: one["value"] for one in exported["data"]["tags"]}
    assert (tags["lnn.run_id"], tags["lnn.tags"]) == (run.run_id, "e2e")


def test_each_epoch_of_the_history_is_a_point_of_a_curve(
    cloud: CloudUnderTest, server: Server, exported: dict[str, Any], run: Run
) -> None:
    history = cloud.ledger.history(run.run_id)
    for name in ("cost", "train_accuracy", "test_accuracy", "learning_rate"):
        points = server.ask(f"mlflow/metrics/get-history?run_id={_id(exported)}&metric_key={name}")["metrics"]
        assert {one["step"]: one["value"] for one in points} == {row.epoch: getattr(row, name) for row in history}
    latest = {one["key"]: one["value"] for one in exported["data"]["metrics"]}
    assert latest["model_test_accuracy"] == run.test_accuracy
    assert latest["model_usd"] == run.usd


def test_the_model_predicts_its_example_as_the_network_does(
    cloud: CloudUnderTest, server: Server, exported: dict[str, Any], run: Run
) -> None:
    example, outputs, given, made = server.predicted(f"runs:/{_id(exported)}/model")
    expected = load_model(cloud.model(run.run_id)).predict_proba(np.array(example["X"]).T)
    np.testing.assert_allclose(np.array(outputs).T, expected[1:], rtol=0, atol=1e-12)
    test_x = pictures()["test_set_x"].reshape(8, -1) / 255
    np.testing.assert_allclose(np.array(example["X"]), test_x[: len(example["X"])])
    assert given == "['X': Tensor('float64', (-1, 48))]"
    assert made == "['probabilities': Tensor('float64', (-1, 1))]"


def test_the_report_is_there_as_a_page(server: Server, exported: dict[str, Any], run: Run) -> None:
    (found,) = server.ask(f"mlflow/artifacts/list?run_id={_id(exported)}&path=report")["files"]
    assert found["path"] == f"report/{run.run_id}.html"
    assert found["file_size"] > 50_000


def test_a_run_is_replaced_on_demand_only(server: Server, run: Run) -> None:
    place = ("--experiment", "replaced")
    assert server.export(run.run_id, *place).returncode == 0
    (before,) = server.runs("replaced")
    again = server.export(run.run_id, *place)
    assert again.returncode == 1
    assert again.stderr.startswith(f"error: {server.address}/#/experiments/")
    assert "--force" in again.stderr
    assert server.runs("replaced") == [before]
    forced = server.export(run.run_id, *place, "--force")
    assert forced.returncode == 0, forced.stderr
    (now,) = server.runs("replaced")
    assert _id(now) != _id(before)
    models = server.ask("mlflow/logged-models/search", experiment_ids=[now["info"]["experiment_id"]])["models"]
    assert [model["info"]["source_run_id"] for model in models] == [_id(now)]


def test_a_server_that_is_not_there_is_named(server: Server, run: Run) -> None:
    port = claim_port("", None, "nobody")
    address = f"http://127.0.0.1:{port}"
    refused = server.export(run.run_id, "--tracking-uri", address)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert f"MLflow at {address}" in refused.stderr


def test_a_sweep_s_runs_are_an_experiment(cloud: CloudUnderTest, server: Server, tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"learning_rate": [0.05, 0.1]}))
    dataset = tmp_path / "bright.h5"
    dataset.write_bytes(encode(pictures(examples=40)))
    settings = tmp_path / "parameters.json"
    settings.write_text(json.dumps(network(3, 1, strategy="fused", epochs=2)))
    name = f"to-mlflow-{time.time_ns()}"
    options = ("--space", space, "--name", name, "--sampler", "grid", "--parameters", settings)
    swept = cloud.lnn("sweep", dataset, *options)
    assert swept.returncode == 0, swept.stderr
    done = server.export(name)
    assert done.returncode == 0, done.stderr
    found = server.runs(name)
    rates = {one["value"] for run in found for one in run["data"]["params"] if one["key"] == "learning_rate"}
    trials = {one["value"] for run in found for one in run["data"]["tags"] if one["key"] == "lnn.trial"}
    assert (len(found), rates, trials) == (2, {"0.05", "0.1"}, {"1", "2"})
