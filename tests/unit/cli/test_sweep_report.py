"""``lnn report SWEEP``: which settings were tried, what they came to, and what that depends on."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lnn_cli.report import sweep as report
from lnn_cli.ui.charts import DOTS_PER_INCH, LIGHT
from lnn_client import sweeps
from lnn_client.cloud import Target
from lnn_client.sweeps import Plan, Sweep
from support.sweep_cloud import Cloud

SPACE = {
    "learning_rate": {"low": 0.001, "high": 0.3, "log": True},
    "neurons.layer1": {"low": 4, "high": 64},
    "optimizer": ["adam", "sgd"],
}
PARAMETERS = {
    "epochs": 1,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}


def cost(parameters: bytes) -> float:
    """The optimizer decides nothing, the learning rate almost all."""
    given: dict[str, Any] = json.loads(parameters)
    return float(abs(given["learning_rate"] - 0.05) + given["neurons"]["layer1"] / 10_000)


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setattr(sweeps.time, "sleep", lambda _: None)
    done = Sweep(Cloud(cost), Plan("tried", SPACE, PARAMETERS, 30, sampler="random"))  # type: ignore[arg-type]
    done.run()
    return done


def test_python_writes_the_page_of_the_command(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sweep.report() == Path("tried.html")
    assert sweep.report(tmp_path / "own.html") == tmp_path / "own.html"
    assert Path("tried.html").read_text() == Path("own.html").read_text()
    assert f"Best: trial {sweep.best().number}," in Path("own.html").read_text()  # type: ignore[union-attr]


def test_the_page_has_each_trial_the_best_and_what_the_cost_depends_on(sweep: Sweep) -> None:
    page = report.html(sweep, Target.LOCAL)
    best = sweep.best()
    assert best is not None
    assert f"Best: trial {best.number}, run {best.run_id}" in page
    for trial in sweep.trials:
        assert f"<td>{trial.run_id}</td>" in page
    assert page.count("<tr>") > 30
    assert [chart.name for chart in report.charts_of(sweep)] == ["trials", "settings", "importances"]
    importances = sweep.importances()
    assert max(importances, key=lambda key: importances[key]) == "learning_rate"
    assert "nobody pays them" in page
    assert "nobody pays them" not in report.html(sweep, Target.AWS)
    assert "<script" not in page


def test_as_a_text_its_pictures_are_files_beside_it(sweep: Sweep, tmp_path: Path) -> None:
    text = report.markdown(sweep, Target.LOCAL, tmp_path / "pictures", LIGHT)
    for name in ("trials", "settings", "importances"):
        assert f"](pictures/{name}.png)" in text
        assert Image.open(tmp_path / "pictures" / f"{name}.png").width > 500
    rows = [line for line in text.splitlines() if line.startswith("|") and "complete" in line]
    assert len(rows) == 30
    assert len({line.count("|") for line in rows}) == 1


def test_as_one_picture_it_has_all_of_them(sweep: Sweep) -> None:
    whole = Image.open(io.BytesIO(report.picture(sweep, Target.LOCAL, LIGHT)))
    inches = sum(chart.height for chart in report.charts_of(sweep))
    assert whole.height > inches * DOTS_PER_INCH


def test_of_a_sweep_without_a_result_it_says_so(tmp_path: Path) -> None:
    begun = Sweep(Cloud(), Plan("begun", SPACE, PARAMETERS, 30))  # type: ignore[arg-type]
    assert begun.look() == []
    assert "No trial has a model yet." in report.html(begun, Target.LOCAL)
    assert "0 of 30 trials" in report.markdown(begun, Target.LOCAL, tmp_path / "none", LIGHT)
    assert not (tmp_path / "none").exists()
    assert Image.open(io.BytesIO(report.picture(begun, Target.LOCAL, LIGHT))).width > 500


def test_names_of_others_cannot_become_markup(tmp_path: Path) -> None:
    hostile: Any = {**SPACE, "optimizer": ["<b>adam</b>", "sgd|x"]}
    odd = Sweep(Cloud(), Plan("odd", hostile, PARAMETERS, 2))  # type: ignore[arg-type]
    odd.trials = [sweeps.Trial(1, {"learning_rate": 0.1, "neurons.layer1": 4, "optimizer": "<b>adam</b>"}, "complete")]
    assert "<b>" not in report.html(odd, Target.LOCAL)
    assert "<b>" not in report.markdown(odd, Target.LOCAL, tmp_path / "none", LIGHT)
