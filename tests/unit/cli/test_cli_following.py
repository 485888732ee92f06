"""Progress: how fast, how long, and what fits a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from lnn_cli.following import LiveReporter, Look, Pace, PlainReporter, reporter
from lnn_cli.rendering import duration, number


def look(epoch: int, status: str = "RUNNING", events: int = 0) -> Look:
    run: dict[str, Any] = {
        "run_id": "r",
        "status": status,
        "epoch": epoch,
        "epochs": 2500,
        "cost": 0.5,
        **({"final_cost": 0.4, "train_accuracy": 0.9, "test_accuracy": 0.8} if status == "COMPLETED" else {}),
        "events": [{"at": 1.0 + number, "what": f"event {number}"} for number in range(events)],
    }
    return Look(run, {"epoch": epoch, "cost": 0.6, "train_accuracy": 0.7, "test_accuracy": 0.6})


def test_pace_is_that_of_the_last_seconds_and_tells_the_time_left() -> None:
    pace = Pace()
    assert pace.rate is None
    for second in range(101):
        pace.see(second if second < 50 else 50 + (second - 50) * 10, float(second))
    assert pace.rate == pytest.approx(10)
    assert pace.left(550, 1050) == pytest.approx(50)


def test_pace_starts_again_when_a_run_goes_back_to_a_checkpoint() -> None:
    pace = Pace()
    for now, epoch in ((0.0, 0), (10.0, 100), (11.0, 40), (21.0, 60)):
        pace.see(epoch, now)
    assert pace.rate == pytest.approx(2)


def test_a_standstill_has_no_pace() -> None:
    pace = Pace()
    pace.see(5, 0.0)
    pace.see(5, 10.0)
    assert (pace.rate, pace.left(5, 10)) == (None, None)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_live_bar_fits_terminals_of_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("lnn_cli.following.monotonic", lambda: float(next(clock)))
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    with reporter(console) as shown:
        assert isinstance(shown, LiveReporter)
        for epoch in (0, 1234, 1300):
            shown.show(look(epoch))
    last = [line for line in written.getvalue().replace("\r", "\n").split("\n") if "cost 0.5" in line][-1]
    plain = last.split("\x1b[2K")[-1].split("\x1b[")[0].rstrip()
    assert len(plain) <= width
    assert "1.8 s left" in plain
    if width >= 80:
        for part in ("1300/2500", "test 60.0%", "650 epochs/s"):
            assert part in plain
    if width >= 120:
        assert plain.startswith("RUNNING")


def test_plain_lines_come_at_changes_and_then_now_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("lnn_cli.following.monotonic", lambda: now[0])
    written = io.StringIO()
    shown = reporter(Console(file=written, width=60))
    assert isinstance(shown, PlainReporter)
    with shown:
        for second in range(31):
            now[0] = float(second)
            shown.show(look(second * 10, events=2 if second < 15 else 3))
        shown.show(look(2500, "COMPLETED", events=3))
    lines = written.getvalue().splitlines()
    assert [line for line in lines if line.startswith("event")] == ["event 2"]
    assert [line.split()[2] for line in lines if line.startswith("RUNNING")] == [
        "0/2500",
        "100/2500",
        "200/2500",
        "300/2500",
    ]
    assert lines[-1] == "COMPLETED  epoch 2500/2500  cost 0.4  train 90.0%  test 80.0%"
    assert "10 epochs/s  4 min 00 s left" in lines[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (42.4, "42 s"), (200, "3 min 20 s"), (3599.9, "1 h 00 min"), (None, "-")],
)
def test_durations_read_like_a_person_would_say_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.693147, "0.6931"), (1234.5, "1234"), (12345.6, "12,346"), (2e-7, "2e-07"), (None, "-"), (float("nan"), "nan")],
)
def test_figures_have_four_digits_and_no_powers_where_they_are_large(value: float | None, text: str) -> None:
    assert number(value) == text
