"""Sweeps on the local cloud: exactly their trials, whoever drives them, and one model for the registry."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from lnn.names import LATEST_PARAMS, SWEEPS
from support.aws_account import run_cli
from support.e2e_cloud import WATCH_SECONDS, CloudUnderTest, environment, eventually

SPACE = {"learning_rate": {"low": 0.001, "high": 0.3, "log": True}, "neurons.layer1": [4, 8]}
TRIALS = 5
MARK = f"{time.time_ns():x}"
"""Of these sweeps: a cloud that is already running may have others of such names."""
KILLED = f"killed-{MARK}"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments of a sweep of a small table."""
    folder = tmp_path_factory.mktemp("sweep")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    lines = [",".join([*(f"{value:.5f}" for value in row), "left" if row[0] + row[1] < 0 else "right"]) for row in X]
    table, space = folder / "rows.csv", folder / "space.json"
    table.write_text("a,b,c,side\n" + "\n".join(lines) + "\n")
    space.write_text(json.dumps(SPACE))
    # One by one: what Redis holds, and every Trainer, has a part in each epoch.
    one_by_one = ["epochs=6", "batch_size=null", "neurons.layer2=3", "strategy=neuron"]
    small = [*(word for change in one_by_one for word in ("--set", change)), "--trials", str(TRIALS), "--parallel", "2"]
    return [str(table), "--label", "side", "--space", str(space), *small]


@pytest.fixture(scope="module")
def undisturbed(cloud: CloudUnderTest, job: list[str]) -> Any:
    return cloud.lnn_json("sweep", *job, "--name", f"undisturbed-{MARK}")


def trials_of(cloud: CloudUnderTest, name: str) -> list[str]:
    """Dataset keys of all runs of a sweep."""
    return sorted(run.dataset_key for run in cloud.ledger.list_runs() if run.dataset_key.startswith(f"{SWEEPS}{name}/"))


def test_a_sweep_ranks_its_trials_and_hands_the_best_alone_to_the_registry(
    cloud: CloudUnderTest, undisturbed: Any
) -> None:
    costs = [trial["validation_cost"] for trial in undisturbed["trials"]]
    assert len(costs) == TRIALS
    assert costs == sorted(costs)
    assert undisturbed["best"] == undisturbed["trials"][0]["trial"]
    best = undisturbed["trials"][0]["run_id"]
    runs = {trial["run_id"]: cloud.run(trial["run_id"]) for trial in undisturbed["trials"]}
    for trial in undisturbed["trials"]:
        settings = runs[trial["run_id"]].settings
        assert settings["learning_rate"] == trial["settings"]["learning_rate"]
        assert settings["neurons"]["layer1"] == trial["settings"]["neurons.layer1"]
        assert settings["tags"] == [f"sweep:undisturbed-{MARK}", f"trial:{trial['trial']}"]
        assert settings["validation"] == 0.2

    def registered() -> set[Any]:
        models = cloud.client("dynamodb").scan(TableName=cloud.names.models_table)["Items"]
        return {model["run_id"]["S"] for model in models if "run_id" in model} & runs.keys()

    assert eventually(registered, "the best model in the registry") == {best}
    assert not any(cloud.messages(run_id) for run_id in runs)
    latest = cloud.s3.list_objects_v2(Bucket=cloud.names.bucket, Prefix=LATEST_PARAMS).get("Contents", [])
    if latest:
        assert cloud.s3.get_object(Bucket=cloud.names.bucket, Key=LATEST_PARAMS)["Metadata"].get("run") not in runs


def test_a_report_of_a_sweep_has_all_its_trials_and_begins_none(
    cloud: CloudUnderTest, undisturbed: Any, tmp_path: Path
) -> None:
    name = f"undisturbed-{MARK}"
    before = trials_of(cloud, name)
    done = cloud.lnn("report", name, "-o", tmp_path / "sweep.html")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "sweep.html").read_text()
    for trial in undisturbed["trials"]:
        assert page.count(trial["run_id"]) >= 1
        assert f"{trial['validation_cost']:.4g}" in page
    assert f"Best: trial {undisturbed['best']}," in page
    assert trials_of(cloud, name) == before


def test_a_sweep_whose_driver_trainers_and_redis_are_killed_has_exactly_its_trials_and_the_same_best(
    cloud: CloudUnderTest, job: list[str], undisturbed: Any
) -> None:
    """The driver is killed three times; after the first, every Trainer is, too, and after the second Redis is empty."""
    command = [Path(sys.executable).with_name("lnn"), "sweep"]
    arguments: list[str] = [*job, "--name", KILLED]
    with watching(cloud):
        for count, also_kill in ((1, kill_trainers), (3, empty_redis), (5, None)):
            driver = subprocess.Popen(
                [*command, *arguments],
                env=environment(cloud.home),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                eventually(lambda count=count: len(trials_of(cloud, KILLED)) >= count, f"{count} trials")
                if also_kill is not None:
                    also_kill(cloud)
            finally:
                driver.send_signal(signal.SIGKILL)
                driver.wait()
            arguments = ["--resume", KILLED]
        ended = cloud.lnn_json("sweep", "--resume", KILLED)
    assert trials_of(cloud, KILLED) == [f"{SWEEPS}{KILLED}/{n:04d}/datasets.h5" for n in range(1, TRIALS + 1)]
    assert told(ended) == told(undisturbed)
    assert max(cloud.run(trial["run_id"]).generation for trial in ended["trials"]) > 1, "nothing was disturbed"
    assert told(cloud.lnn_json("sweep", "--resume", KILLED)) == told(undisturbed)  # all of it is known


def at_work(cloud: CloudUnderTest) -> str:
    """A trial of the sweep that has trained an epoch and goes on."""

    def look() -> str | None:
        runs = [run for run in cloud.ledger.list_runs() if run.dataset_key.startswith(f"{SWEEPS}{KILLED}/")]
        return next((run.run_id for run in runs if run.epoch >= 1 and not run.has_ended), None)

    return eventually(look, "a trial at work")


def kill_trainers(cloud: CloudUnderTest) -> None:
    at_work(cloud)
    for process in eventually(lambda: cloud.workers("trainer"), "a Trainer"):
        process.kill()


def empty_redis(cloud: CloudUnderTest) -> None:
    # A trial takes about a second: the one that was at work may have ended when its keys are looked for.
    eventually(lambda: cloud.redis_keys(at_work(cloud)), "a trial's keys in Redis")
    cloud.redis.flushall()


@contextmanager
def watching(cloud: CloudUnderTest) -> Iterator[None]:
    """The watch is called as its schedule calls it, but more often."""
    over = Event()

    def watch() -> None:
        while not over.wait(WATCH_SECONDS):
            cloud.send("trainer", {"state": "watch"})

    with ThreadPoolExecutor(1) as pool:
        calls = pool.submit(watch)
        try:
            yield
        finally:
            over.set()
        calls.result()


def told(sweep: Any) -> Any:
    """What does not differ between two runs of one sweep."""
    return sweep["best"], [{key: one[key] for key in one if key != "run_id"} for one in sweep["trials"]]


def test_a_cross_validated_sweep_whose_driver_is_killed_has_each_fold_once_and_one_model_of_all_examples(
    cloud: CloudUnderTest, job: list[str]
) -> None:
    name, folds = f"folds-{MARK}", 3
    quick = [*job, "--set", "strategy=fused", "--trials", "2", "--folds", str(folds), "--parallel", "3"]
    driver = subprocess.Popen(
        [Path(sys.executable).with_name("lnn"), "sweep", *quick, "--name", name],
        env=environment(cloud.home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: len(trials_of(cloud, name)) >= 2, "two runs")
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    ended = cloud.lnn_json("sweep", "--resume", name)
    folders = [f"{number:04d}-fold-{fold}" for number in (1, 2) for fold in (1, 2, 3)]
    expected = [*folders, f"refit-{ended['best']:04d}"]
    assert trials_of(cloud, name) == [f"{SWEEPS}{name}/{folder}/datasets.h5" for folder in expected]
    for trial in ended["trials"]:
        costs = [fold["validation_cost"] for fold in trial["folds"]]
        assert trial["validation_cost"] == pytest.approx(sum(costs) / folds)
        assert trial["spread"] == pytest.approx(float(np.std(costs)))
        of_folds = [cloud.run(fold["run_id"]).dimensions or {} for fold in trial["folds"]]
        assert sorted(sizes["validation_examples"] for sizes in of_folds) == [21, 21, 22]  # of 64
        assert {sizes["examples"] + sizes["validation_examples"] for sizes in of_folds} == {64}
    refit = cloud.run(ended["refit"]["run_id"])
    assert refit.dimensions is not None
    assert (refit.status, refit.dimensions["examples"], refit.has_validation) == ("COMPLETED", 64, False)

    def registered() -> bool:
        models = cloud.client("dynamodb").scan(TableName=cloud.names.models_table)["Items"]
        return refit.run_id in {model["run_id"]["S"] for model in models if "run_id" in model}

    assert eventually(registered, "the model of all examples in the registry")
    assert cloud.lnn_json("sweep", "--resume", name) == ended


def test_a_poor_trial_is_ended_early(cloud: CloudUnderTest, job: list[str], tmp_path: Path) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"learning_rate": [0.03, 0.02, 0.01, 0.015, 1e-7]}))
    settings = [*job, "--space", str(space), "--sampler", "grid", "--pruner", "median", "--parallel", "1"]
    long = ["--set", "strategy=fused", "--set", "batch_size=8", "--set", "epochs=4000", "--set", "record_every=20"]
    found = cloud.lnn_json("sweep", *settings, *long, "--name", f"pruned-{MARK}")
    states = {trial["settings"]["learning_rate"]: trial["state"] for trial in found["trials"]}
    assert states == {0.03: "complete", 0.02: "complete", 0.01: "complete", 0.015: "complete", 1e-7: "pruned"}
    poor = next(trial["run_id"] for trial in found["trials"] if trial["state"] == "pruned")
    assert cloud.run(poor).epoch < 4000


def test_trials_at_work_are_stopped_when_the_time_is_over(cloud: CloudUnderTest, job: list[str]) -> None:
    endless = [
        *job,
        "--set",
        "strategy=fused",
        "--set",
        "epochs=1000000",
        "--set",
        "record_every=1000",
        "--seconds",
        "4",
    ]
    found = cloud.lnn_json("sweep", *endless, "--name", f"timed-{MARK}")
    assert found["ended_early"] == "4 seconds are over"
    assert 0 < len(found["trials"]) < TRIALS
    assert {cloud.run(trial["run_id"]).status for trial in found["trials"]} == {"STOPPED"}


def test_a_budget_ends_the_sweep(cloud: CloudUnderTest, job: list[str]) -> None:
    tight = cloud.lnn_json("sweep", *job, "--name", f"tight-{MARK}", "--max-usd", "0.0000001", "--sampler", "random")
    assert 0 < len(tight["trials"]) < TRIALS
    assert "0.0000001" in tight["ended_early"] or "1e-07" in tight["ended_early"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (["--sampler", "best"], "tpe, random or grid"),
        (["--sampler", "grid"], "a grid needs values"),
        (["--folds", "3", "--pruner", "median"], "found 3 with the pruner median"),
        (["--set", "epoch=3"], "epoch"),
        (["--name", "Not a name"], "the sweep's name"),
        (["--name", f"undisturbed-{MARK}"], "already"),
        (["--resume", f"undisturbed-{MARK}"], "omit them"),
    ],
)
def test_a_bad_sweep_is_one_clear_error_and_no_trial(
    cloud: CloudUnderTest,
    job: list[str],
    undisturbed: Any,
    changed: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("LNN_HOME", str(cloud.home)), ("LNN_TARGET", "local"), ("COLUMNS", "200")):
        monkeypatch.setenv(name, value)
    before = len(cloud.ledger.list_runs())
    refused = run_cli("sweep", *job, *changed)  # in this process: six starts of the command take ten seconds
    assert refused.exit_code == 1
    assert problem in refused.stderr.splitlines()[-1]
    assert len(cloud.ledger.list_runs()) == before


def test_an_unknown_sweep_is_said_to_be_unknown(cloud: CloudUnderTest) -> None:
    refused = cloud.lnn("sweep", "--resume", "nobody-s")
    assert (refused.returncode, "there is no sweep 'nobody-s'" in refused.stderr) == (1, True)
