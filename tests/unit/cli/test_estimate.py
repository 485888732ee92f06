"""``lnn estimate``: a model for AWS, and what short trainings make of it for the cloud at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lnn.names import is_calibration

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

pytestmark = pytest.mark.slow

BUCKET = "lnn-123456789012-us-east-1"
COUNTS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
ROW = {"strategy", "workers", "seconds", "ms_per_epoch", "usd", "invocations", "peak_memory_mb", "fits", "reason"}

AROUND = 2.0
"""Seconds before and after the training, in the cloud below."""
ONCE = 0.25
SECONDS = {"fused": 0.125, "resident": 0.25, "data": 0.5, "neuron": 1.0}
"""Of an epoch with one worker."""
WAIT = 0.375
"""More, with two."""


@pytest.fixture
def measured(world: World) -> World:
    """A cloud in which every upload has been trained by the time the command looks again."""

    def train_what_is_new() -> None:
        world.script.append(train_what_is_new)
        keys = [key for key in world.stored("training_input/") if key.endswith(".h5")]
        known = {run.dataset_key for run in world.ledger.list_runs()}
        for key in sorted(set(keys) - known):
            parameters = body(world, key.replace("datasets.h5", "parameters.json"))
            head = world.s3.head_object(Bucket=BUCKET, Key=key)
            started = float(head["Metadata"]["upload-started-at"]) + AROUND / 2
            several = WAIT if (parameters["workers"] or 1) > 1 else 0.0
            seconds = parameters["epochs"] * (SECONDS[parameters["strategy"]] + several)
            ended = started + seconds + (ONCE if parameters["strategy"] == "fused" else 0.0)
            run_id = f"20261121T101500Z-{len(known):08x}"
            known.add(key)
            world.open_run(
                run_id,
                dataset_key=key,
                dataset={"bucket": BUCKET, "key": key, "version_id": head["VersionId"], "etag": head["ETag"]},
                upload_started_at=started - AROUND / 2,
            )
            assert world.ledger.claim(run_id, 1, "trainer")
            ended_run = world.ledger.finish(
                run_id,
                1,
                "COMPLETED",
                None,
                epoch=parameters["epochs"],
                training_started_at=started,
                training_ended_at=ended,
                model_written_at=ended + AROUND / 2,
            )
            assert ended_run is not None
            world.ledger.close(ended_run)

    world.script = [train_what_is_new]
    return world


def body(world: World, key: str) -> Any:
    return json.loads(world.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def estimated(cli: RunCli, *arguments: str | Path) -> dict[str, Any]:
    result = cli("estimate", *arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def of(answer: dict[str, Any], strategy: str, workers: int = 1) -> dict[str, Any]:
    (row,) = [row for row in answer["rows"] if (row["strategy"], row["workers"]) == (strategy, workers)]
    return dict(row)


def test_json_has_a_row_for_every_strategy_and_number_of_workers(cli: RunCli, dataset: Path, parameters: Path) -> None:
    answer = estimated(cli, dataset)
    ways = [(row["strategy"], row["workers"]) for row in answer["rows"]]
    assert ways == [("neuron", 1), ("fused", 1)] + [(s, n) for s in ("resident", "data") for n in COUNTS]
    assert all(set(row) == ROW for row in answer["rows"])
    for row in answer["rows"]:
        assert 0 < row["seconds"]["training"] < row["seconds"]["total"]
        assert row["seconds"]["training"] * 1000 == pytest.approx(row["ms_per_epoch"] * 4)
        assert row["fits"] == (row["workers"] <= {"resident": 16, "data": 8}.get(row["strategy"], 1))
        assert bool(row["reason"]) or row["fits"]
    assert (answer["target"], answer["calibration"]) == ("aws", None)
    assert (answer["auto"]["strategy"], answer["auto"]["workers"]) == ("fused", 1)
    assert "neuron at" in answer["auto"]["reason"]


def test_the_table_marks_what_auto_picks_and_says_what_is_not_in_the_dollars(
    cli: RunCli, dataset: Path, parameters: Path
) -> None:
    result = cli("estimate", dataset)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("*")] == ["fused"]
    assert any("data" in line and " 16 " in line and "only 8 examples" in line for line in lines)
    assert not any(" 32 " in line for line in lines)
    assert "--json has all" in result.stderr
    assert "not in the dollars" in result.stderr
    assert "cache and endpoints" in result.stderr


def test_settings_change_the_estimate_and_no_cloud_is_asked(cli: RunCli, dataset: Path, parameters: Path) -> None:
    few, many = estimated(cli, dataset), estimated(cli, dataset, "--set", "epochs=400")
    assert of(many, "fused")["seconds"]["training"] > 50 * of(few, "fused")["seconds"]["training"]
    assert of(many, "neuron")["invocations"] == 2 + 400 * 2 * (4 + 2)


def test_sizes_of_functions_decide_what_fits_and_what_it_costs(cli: RunCli, dataset: Path, parameters: Path) -> None:
    large = estimated(cli, dataset, "--trainer-memory", "6016")
    assert of(large, "fused")["usd"] > 1.5 * of(estimated(cli, dataset), "fused")["usd"]
    small = estimated(cli, dataset, "--trainer-memory", "128", "--neuron-memory", "128")
    assert not any(row["fits"] for row in small["rows"])
    assert small["auto"]["strategy"] is None
    assert "raise the functions' sizes in Terraform" in small["auto"]["reason"]


def test_auto_is_shown_whatever_strategy_the_parameters_ask_for(cli: RunCli, dataset: Path, parameters: Path) -> None:
    assert estimated(cli, dataset, "--set", "strategy=neuron")["auto"]["strategy"] == "fused"


def test_what_train_would_refuse_is_refused_here_in_one_line(cli: RunCli, dataset: Path, parameters: Path) -> None:
    result = cli("estimate", dataset, "--set", "epochs=-1")
    assert result.exit_code == 1
    assert "epochs: found -1" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert cli("estimate", "nothing.h5").stderr.startswith("error: nothing.h5 does not exist")


def test_calibration_gives_back_what_was_measured(
    cli: RunCli, measured: World, dataset: Path, parameters: Path
) -> None:
    answer = estimated(cli, dataset, "--calibrate", "--set", "epochs=40")
    for strategy, seconds in SECONDS.items():
        row = of(answer, strategy)
        once = ONCE if strategy == "fused" else 0.0
        assert row["seconds"]["training"] == pytest.approx(40 * seconds + once, rel=1e-3)
        assert row["seconds"]["total"] == pytest.approx(40 * seconds + once + AROUND, rel=1e-3)
    for strategy in ("resident", "data"):
        assert of(answer, strategy, 2)["ms_per_epoch"] == pytest.approx(1000 * (SECONDS[strategy] + WAIT), rel=0.5)
    assert answer["source"].startswith("calibrated on 20")
    assert set(answer["calibration"]["corrections"]) == set(SECONDS)


def test_a_calibration_is_kept_for_later_estimates_of_that_cloud(
    cli: RunCli, measured: World, dataset: Path, parameters: Path
) -> None:
    before = estimated(cli, dataset)
    at_once = estimated(cli, dataset, "--calibrate")
    later = estimated(cli, dataset)
    assert later["rows"] == at_once["rows"] != before["rows"]
    assert estimated(cli, dataset, "--target", "local")["calibration"] is None


def test_calibrations_are_short_runs_in_folders_of_their_own_that_keep_the_job_s_other_settings(
    cli: RunCli, measured: World, dataset: Path, parameters: Path
) -> None:
    cli("estimate", dataset, "--calibrate", "--set", "epochs=1000000", "--set", "l2=0.5", "--set", "threshold=0.3")
    keys = [key for key in measured.stored("training_input/") if key.endswith(".json")]
    assert len(keys) == 8, "two runs for each strategy"
    assert all(is_calibration(key) for key in keys)
    used = [body(measured, key) for key in keys]
    assert all(settings["epochs"] <= 4000 and settings["max_seconds"] <= 20 for settings in used)
    assert all((settings["l2"], settings["threshold"]) == (0.5, None) for settings in used)
    assert sorted(settings["strategy"] for settings in used) == sorted([*SECONDS] * 2)


def test_where_nothing_comes_once_one_training_is_measured_and_not_the_difference_of_two(
    cli: RunCli, measured: World, dataset: Path, parameters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "ONCE", 0.0)
    answer = estimated(cli, dataset, "--calibrate", "--set", "epochs=40", "--set", "optimizer=adam")
    assert of(answer, "fused")["seconds"]["training"] == pytest.approx(40 * SECONDS["fused"], rel=1e-3)
    keys = [key for key in measured.stored("training_input/") if key.endswith(".json")]
    assert [body(measured, key)["strategy"] for key in keys].count("fused") == 1


def test_a_strategy_that_fails_is_left_out_with_a_note(
    cli: RunCli, measured: World, dataset: Path, parameters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SECONDS, "neuron", 0.0)
    result = cli("estimate", dataset, "--calibrate", "--json")
    answer = json.loads(result.stdout)
    assert "neuron is not measured: run " in result.stderr
    assert "neuron" in answer["calibration"]["skipped"]
    assert set(answer["calibration"]["corrections"]) == {"fused", "resident", "data"}


def test_a_training_that_does_not_end_is_asked_to_stop(
    cli: RunCli, world: World, dataset: Path, parameters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn_client.calibration.TIMEOUT_SECONDS", 3.0)

    def open_only() -> None:
        world.script.append(open_only)
        if not world.ledger.list_runs():
            world.launch()
            world.train("20261121T101500Z-0a1b2c3d", 1)

    world.script = [open_only]
    result = cli("estimate", dataset, "--calibrate")
    assert result.exit_code == 1
    assert "neuron is not measured: run 20261121T101500Z-0a1b2c3d took too long" in result.stderr
    assert "no run was opened" in result.stderr, "of the next one"
    assert world.run("20261121T101500Z-0a1b2c3d").stop_requested is True


def test_a_broken_calibration_file_is_one_line_with_the_way_out(
    cli: RunCli, dataset: Path, parameters: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LNN_HOME", str(tmp_path))
    (tmp_path / "calibration-aws.json").write_text('{"corrections": 3}')
    result = cli("estimate", dataset)
    assert result.exit_code == 1
    assert "calibration-aws.json is no calibration" in result.stderr
    assert "delete it" in result.stderr
