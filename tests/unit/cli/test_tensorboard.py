"""TensorBoard's event files: written whole by ``lnn export``, and as the run grows by ``lnn watch --tensorboard``."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tensorboardX.proto.event_pb2 import Event

from lnn.runs.record import EpochRow, Run
from lnn_cli.export.tensorboard import EventFile

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

RUN = "20261121T000000Z-aaaaaaaa"
COUNTS = {"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]}


def records(content: bytes) -> list[bytes]:
    """The records of a TFRecord file: length (8 bytes), its checksum (4), the record, its checksum (4)."""
    found = []
    while content:
        length = int.from_bytes(content[:8], "little")
        found.append(content[12 : 12 + length])
        content = content[16 + length :]
    return found


def curves(folder: Path) -> dict[str, list[tuple[int, float, float]]]:
    """Epoch, value and moment of each point, by tag."""
    (file,) = folder.glob("events.out.tfevents.*")
    found: dict[str, list[tuple[int, float, float]]] = {}
    for record in records(file.read_bytes()):
        event = Event.FromString(record)
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value, event.wall_time))
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Epoch and value of each point, by tag."""
    return {tag: [(epoch, value) for epoch, value, _ in points] for tag, points in curves(folder).items()}


def wait_for(epochs: list[int], folder: Path) -> None:
    """Returns once the curve of the cost has these epochs: a thread writes them."""
    deadline = time.monotonic() + 20
    while (found := [epoch for epoch, _ in scalars(folder).get("cost", ())]) != epochs:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_history_is_exported_with_its_figures_and_times(cli: RunCli, world: World) -> None:
    world.train_whole(RUN, epochs=5)
    result = cli("export", "latest", "--format", "tensorboard", "-o", "events")
    assert result.exit_code == 0, result.output
    found, history = scalars(Path("events")), world.ledger.history(RUN)
    assert set(found) == {"cost", "accuracy/train", "accuracy/test", "seconds_an_epoch"}
    assert found["cost"] == [(row.epoch, pytest.approx(row.cost)) for row in history]
    assert found["accuracy/test"] == [(row.epoch, pytest.approx(row.test_accuracy)) for row in history]
    times = [moment for _, _, moment in curves(Path("events"))["cost"]]
    assert times == sorted(times)
    assert times[0] == pytest.approx(101.25)  # when the first epoch had ended
    again = cli("export", "latest", "--format", "tensorboard", "-o", "events")
    assert again.exit_code == 1
    assert "not empty" in again.stderr


def test_accuracies_come_with_base_rate_and_recall(cli: RunCli, world: World) -> None:
    world.train_whole(RUN, ending={"test_accuracy": 0.98, "test_classes": COUNTS})
    assert cli("export", "latest", "--format", "tensorboard", "-o", "events").exit_code == 0
    found = scalars(Path("events"))
    assert found["accuracy/base_rate"] == [(epoch, pytest.approx(0.98)) for epoch in range(1, 5)]
    assert (found["balanced_accuracy/test"], found["lowest_recall/test"]) == ([(4, 0.5)], [(4, 0.0)])


def test_watch_adds_epochs_as_they_come_and_writes_each_once(cli: RunCli, world: World) -> None:
    world.open_run(RUN)
    world.accept(RUN)
    world.train(RUN, 2)
    seen = [partial(wait_for, [1, 2], Path("curves") / RUN), partial(wait_for, [1, 2, 3, 4], Path("curves") / RUN)]
    pause = [lambda: None] * 60  # of a history that grows, it is read every two seconds
    world.script = [seen[0], partial(world.train, RUN, 4), *pause, seen[1], partial(world.end, RUN)]
    result = cli("watch", RUN, "--tensorboard", "curves")
    assert result.exit_code == 0, result.output
    assert world.script == []
    history = world.ledger.history(RUN)
    assert scalars(Path("curves") / RUN)["cost"] == [(row.epoch, pytest.approx(row.cost)) for row in history]
    again = cli("watch", RUN, "--tensorboard", "curves")
    assert again.exit_code == 1
    assert "from an earlier watch" in again.stderr


def test_an_epoch_whose_row_is_late_waits_with_all_that_follow_it(tmp_path: Path) -> None:
    rows = {epoch: EpochRow(epoch, 1 / epoch, 0.5, 0.5, 0.1) for epoch in (2, 4, 6, 7)}
    settings = {"record_every": 2}
    going, ended = Run(RUN, "RUNNING", settings=settings), Run(RUN, "STOPPED", settings=settings)
    with EventFile(tmp_path) as events:
        events.add(going, [rows[2], rows[6]])
        wait_for([2], tmp_path)
        events.add(going, [rows[2], rows[4], rows[6]])
        wait_for([2, 4, 6], tmp_path)
        events.add(ended, list(rows.values()))
    assert [epoch for epoch, _ in scalars(tmp_path)["cost"]] == [2, 4, 6, 7]
