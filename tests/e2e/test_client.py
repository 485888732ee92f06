"""Training from Python: what goes in, what comes out, and the documentation's own code."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from markdown_it import MarkdownIt

from lnn.errors import InputError
from lnn.names import params_key
from lnn_client import Cloud
from lnn_client.errors import TrainingFailed
from support.e2e_cloud import CloudUnderTest, environment
from support.repository import REPOSITORY

RNG = np.random.default_rng(4)
X = RNG.normal(size=(60, 3)) * 10
LABELS = np.where(X[:, 0] > 0, "right", "left")
SMALL = {"epochs": 20, "learning_rate": 0.03, "strategy": "fused", "neurons.layer1": 8, "neurons.layer2": 4}


@pytest.fixture
def here(cloud: CloudUnderTest, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setenv("LNN_HOME", str(cloud.home))
    return Cloud("local")


def frame(kind: Any) -> Any:
    return kind({"x": X[:, 0], "color": np.where(X[:, 1] > 0, "red", "blue"), "side": LABELS})


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_a_frame_with_texts_trains_a_model_that_takes_its_rows(here: Cloud, kind: Any) -> None:
    rows = frame(kind)
    run = here.train(rows, "side", **SMALL).wait()
    model = run.model()
    assert model.classes == ["left", "right"]
    assert (model.predict(rows) == LABELS).mean() > 0.9
    history = run.history()
    assert history["epoch"].to_list() == list(range(1, 21))
    assert history["cost"][-1] == run.record.final_cost


def test_arrays_tables_and_datasets_train_the_same_network(here: Cloud, tmp_path: Path) -> None:
    table, dataset = tmp_path / "rows.csv", tmp_path / "datasets.h5"
    pl.DataFrame({**{f"x{place}": X[:, place] for place in range(3)}, "y": LABELS}).write_csv(table)
    made = subprocess.run(
        [Path(sys.executable).with_name("lnn"), "dataset", "from-table", table, "--label", "y", "-o", dataset],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    with ThreadPoolExecutor(3) as pool:
        sources = (X, LABELS), (table, "y"), (dataset, None)
        runs = list(pool.map(lambda source: here.train(*source, **SMALL).wait(), sources))
    costs = [run.history()["cost"].to_list() for run in runs]
    assert costs[1] == costs[2]
    np.testing.assert_allclose(costs[0], costs[1], rtol=1e-5)  # the moments of the features may differ in a last bit
    proba = [run.model().predict_proba(X) for run in runs]
    np.testing.assert_allclose(proba[0], proba[1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(proba[1], proba[2], rtol=0, atol=1e-12)


def test_numbers_are_predicted_and_a_run_can_be_asked_for_its_neurons(here: Cloud, tmp_path: Path) -> None:
    run = here.train(X, X @ [1.0, -2.0, 0.5], regression=True, **SMALL).wait()
    model = run.model()
    assert model.predict(X).shape == (60,)
    with pytest.raises(InputError, match="call predict"):
        model.predict_proba(X)
    (W, _), *_ = model.network.parameters
    np.testing.assert_allclose(run.neuron(1, 2).w, W[1], rtol=0, atol=1e-12)
    again = model.save(tmp_path / "params.h5")
    assert again.stat().st_size > 1000
    assert "<svg" in run._repr_html_()


def test_a_model_is_downloaded_as_it_is_stored(cloud: CloudUnderTest, here: Cloud, tmp_path: Path) -> None:
    run = here.train(X, LABELS, **SMALL).wait()
    file = tmp_path / "params.h5"
    assert cloud.lnn("model", "get", run.run_id, "-o", file).returncode == 0
    stored = cloud.s3.get_object(Bucket=cloud.names.bucket, Key=params_key(run.run_id))["Body"].read()
    assert file.read_bytes() == stored
    refused = cloud.lnn("model", "get", run.run_id, "-o", file)
    assert (refused.returncode, "--force" in refused.stderr) == (1, True)


def test_a_run_is_stopped_and_goes_on(here: Cloud) -> None:
    run = here.train(X, LABELS, **SMALL | {"epochs": 300_000, "record_every": 1000})
    run.stop().wait(120)
    assert run.status == "STOPPED"
    epoch = run.record.epoch
    assert run.resume().stop().wait(120).record.epoch >= epoch


def test_a_training_that_diverges_is_an_error_with_its_reason(here: Cloud) -> None:
    wild = SMALL | {"learning_rate": 1e200, "optimizer": "sgd"}
    run = here.train(X, X.sum(axis=1), regression=True, **wild)
    with pytest.raises(TrainingFailed, match="learning_rate") as raised:
        run.wait()
    assert raised.value.run.run_id == run.run_id


@pytest.mark.parametrize(
    ("source", "changes", "problem"),
    [
        ((X, LABELS[:-1]), {}, "as many labels as examples"),
        ((X, None), {}, "no labels"),
        ((frame(pd.DataFrame), LABELS), {}, "name their column"),
        ((frame(pd.DataFrame), "shape"), {}, "shape"),
        (("nowhere.csv", "y"), {}, "nowhere.csv"),
        (("nowhere.h5", None), {}, "nowhere.h5"),
        ((np.full((9, 2), np.nan), np.arange(9) % 2), {}, "NaN"),
        ((X, LABELS), {"epochs": 0}, "epochs"),
        ((X, LABELS), {"test": 0}, "test"),
        ((X, LABELS), {"epoch": 3}, "epoch"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_uploaded(
    here: Cloud, source: tuple[Any, Any], changes: dict[str, Any], problem: str
) -> None:
    before = [run.run_id for run in here.runs()]
    with pytest.raises(InputError, match=problem):
        here.train(*source, **changes)
    assert [run.run_id for run in here.runs()] == before


@pytest.mark.parametrize(("page", "says"), [("python", "COMPLETED flowers"), ("sweeps", "learning_rate")])
def test_the_code_of_the_documentation_runs_as_it_stands(
    cloud: CloudUnderTest, tmp_path: Path, page: str, says: str
) -> None:
    tokens = MarkdownIt().parse((REPOSITORY / "docs" / f"{page}.md").read_text())
    code = "\n".join(token.content for token in tokens if token.type == "fence" and token.info == "python")
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:lnn_client", "-c", code],
        cwd=tmp_path,
        env=environment(cloud.home),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert (tmp_path / "flowers.h5").is_file() == (page == "python")


def test_the_wheel_trains_from_a_folder_of_its_own(cloud: CloudUnderTest, tmp_path: Path) -> None:
    """Without the checkout: the packages of the wheel alone."""
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    for command in (
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels],
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, "lnn", "--no-index"],
    ):
        found = ["--find-links", wheels] if "pip" in command else []
        made = subprocess.run([*command, *found], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
    packages = {path.name for path in site.iterdir() if path.is_dir() and not path.name.endswith(".dist-info")}
    assert packages - {"bin"} == {"lnn", "lnn_cli", "lnn_client"}
    code = (
        "import json, lnn_client, numpy as np; X = np.arange(40.0).reshape(20, 2); "
        "run = lnn_client.Cloud('local').train(X, np.arange(20) % 2, epochs=2).wait(); "
        "print(json.dumps([lnn_client.__file__, run.status]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(cloud.home) | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, status = json.loads(done.stdout)
    assert Path(file).is_relative_to(site)
    assert status == "COMPLETED"
