"""Progress: how fast, how long, and what fits a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from lnn.runs.attributes import Disturbances, Event, Status
from lnn.runs.record import EpochRow, Run
from lnn_cli.ui.console import duration, number
from lnn_cli.ui.live_view import LiveView
from lnn_cli.ui.progress import AtWork, Pace, PlainView, view_on
from lnn_client.invocations import NOT_RECORDED, Pulse
from lnn_client.progress import Look
from lnn_client.runs import usd_so_far_and_left


def look(epoch: int, status: Status = "RUNNING", events: int = 0, **facts: Any) -> Look:
    if status == "COMPLETED":
        facts |= {"final_cost": 0.4, "train_accuracy": 0.9, "test_accuracy": 0.8}
    told: list[Event] = [{"at": 1.0 + number, "what": f"event {number}"} for number in range(events)]
    run = Run("r", status, epoch=epoch, epochs=2500, cost=0.5, events=told, **facts)
    return Look(run, [EpochRow(epoch, 0.6, 0.7, 0.6, 0.1)])


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


class Pulses:
    """Stands for ``Follower``."""

    def __init__(self, *pulses: Pulse | None) -> None:
        self._pulses = list(pulses)

    def pulse(self) -> Pulse | None:
        return self._pulses.pop(0) if len(self._pulses) > 1 else self._pulses[0]


def frames(
    width: int, *looks: Look, color: str | None = None, encoding: str = "utf-8", at_work: AtWork | None = None
) -> list[str]:
    """What a terminal shows in the end, line by line, without its control codes."""
    bytes_ = io.BytesIO()
    written = io.TextIOWrapper(bytes_, encoding=encoding, write_through=True)
    console = Console(file=written, force_terminal=True, width=width, color_system=color, legacy_windows=False)
    with view_on(console, at_work) as shown:
        assert isinstance(shown, LiveView)
        for one in looks:
            shown.show(one)
    text = bytes_.getvalue().decode(encoding)
    if color is None:
        assert not re.search(r"\x1b\[[\d;]*m", text)
    return [re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", line).rstrip() for line in text.replace("\r", "\n").split("\n")]


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves by a second at every look."""
    clock = iter(range(1000))
    for module in ("live_view", "progress"):
        monkeypatch.setattr(f"lnn_cli.ui.{module}.monotonic", lambda: float(next(clock)))


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120])
def test_the_live_view_fits_terminals_of_any_width(width: int, ticking: None) -> None:
    shown = frames(width, look(0), look(1234), look(1300))
    assert max(map(len, shown)) <= width
    told = "\n".join(shown[shown.index(next(line for line in shown if "1,300" in line)) :])
    for part in ("1,300/2,500", "52%", "cost 0.5", "test 60.0%", "650 epochs/s", "1.8 s left"):
        assert part in told
    assert width < 60 or "RUNNING" in told


def test_the_live_view_has_the_cost_as_a_curve_and_the_dollars_left(ticking: None) -> None:
    looks = []
    for epoch in (0, 1250):
        one = look(epoch, estimate={"seconds": 10, "usd": 0.0004})
        looks.append(replace(one, history=[EpochRow(1 + k, 4 - k, 0.7, 0.6, 0.1) for k in range(4)]))
    told = "\n".join(frames(100, *looks))
    assert "cost 0.5 █▆▃▁" in told
    assert "about $0.000200 so far, $0.000200 left" in told


def test_dollars_are_those_used_where_they_are_known_at_every_epoch() -> None:
    run = Run("r", "RUNNING", estimate={"seconds": 1.0, "usd": 0.004}, epoch=50, epochs=200, usd=0.0005)
    assert usd_so_far_and_left(replace(run, strategy="neuron")) == pytest.approx((0.0005, 0.0015))
    assert usd_so_far_and_left(replace(run, strategy="fused")) == pytest.approx((0.001, 0.003))
    assert usd_so_far_and_left(replace(run, strategy="neuron", epoch=0, usd=0)) == pytest.approx((0, 0.004))
    assert usd_so_far_and_left(replace(run, estimate=None)) is None


def test_the_live_view_tells_of_faults_when_they_happen_and_how_many_there_were(ticking: None) -> None:
    sums: Disturbances = {"takeovers": 1, "silent_seconds": 3.0, "repeated_epochs": 0}
    after = look(20, events=3, generation=2, disturbances=sums)
    after.run.events[2]["what"] = "generation 2 took over, 3.0 s after the last sign of life"
    shown = frames(100, look(10, events=2), after)
    assert len([line for line in shown if "generation 2 took over, 3.0 s" in line]) == 1
    assert not any("event 1" in line for line in shown)
    assert any("generation 2  taken over 1 time" in line for line in shown)


def test_a_terminal_that_knows_ascii_only_gets_nothing_else(ticking: None) -> None:
    falling = [EpochRow(epoch, 4 - epoch, 0.7, 0.6, 0.1) for epoch in (1, 2, 3)]
    shown = frames(80, replace(look(5), history=falling), encoding="ascii")
    assert any("cost 0.5 #-_" in line for line in shown)


def test_a_run_that_has_ended_shows_the_final_figures_and_nothing_that_is_left(ticking: None) -> None:
    ended = look(2500, "COMPLETED", usd=0.0123)
    told = "\n".join(frames(80, look(2000), ended))
    last = told[told.rindex("COMPLETED") :]
    for part in ("100%", "cost 0.4", "train 90.0%", "test 80.0%", "about $0.0123"):
        assert part in last
    assert "left" not in last


def test_a_run_of_lambdas_names_the_neurons_at_work_and_their_pace(ticking: None) -> None:
    pulses = Pulses(None, Pulse("forward", 1, [1, 2, 3, 16], 41.27), Pulse("backward", 2, [7], None))
    looks = [look(epoch, strategy="neuron") for epoch in range(1, 8)]
    shown = frames(120, *looks, at_work=AtWork(pulses))  # type: ignore[arg-type]
    said = [line.partition("at work: ")[2] for line in shown if "at work: " in line]
    assert set(said) == {
        "4 neurons, 1 to 16, of layer 1, forward, 41.3 invocations/s",
        "neuron 7 of layer 2, backward",
    }


def test_a_run_that_records_no_invocations_says_so_and_nobody_asks_for_them(ticking: None) -> None:
    run = look(1, strategy="neuron", plan={"timeline": False})
    shown = frames(120, run, at_work=AtWork(Pulses()))  # type: ignore[arg-type]
    assert any(f"neurons at work: {NOT_RECORDED}" in line for line in shown)


def test_other_strategies_have_no_neurons_at_work_and_nobody_asks_for_them(ticking: None) -> None:
    shown = frames(120, look(1, strategy="fused"), look(9, "COMPLETED", strategy="neuron"), at_work=AtWork(Pulses()))  # type: ignore[arg-type]
    assert not any("at work" in line for line in shown)


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_a_terminal_that_cannot_go_back_gets_plain_lines(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", terminal)
    assert isinstance(view_on(Console(file=io.StringIO(), force_terminal=True)), PlainView)


def test_plain_lines_come_at_changes_and_then_now_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("lnn_cli.ui.progress.monotonic", lambda: now[0])
    written = io.StringIO()
    shown = view_on(Console(file=written, width=60))
    assert isinstance(shown, PlainView)
    with shown:
        for second in range(31):
            now[0] = float(second)
            shown.show(look(second * 10, events=2 if second < 15 else 3))
        shown.show(look(2500, "COMPLETED", events=3, usd=0.0123))
    lines = written.getvalue().splitlines()
    assert [line for line in lines if line.startswith("event")] == ["event 2"]
    assert [line.split()[2] for line in lines if line.startswith("RUNNING")] == [
        "0/2500",
        "100/2500",
        "200/2500",
        "300/2500",
    ]
    assert lines[-1] == "COMPLETED  epoch 2500/2500  cost 0.4  train 90.0%  test 80.0%  about $0.0123"
    assert "10 epochs/s  4 min 00 s left" in lines[1]


def test_a_run_that_waits_tells_its_place_and_when_it_changes(ticking: None) -> None:
    places = [look(0, "PENDING", reason=f"waiting for capacity, place {place}") for place in (3, 3, 2)]
    assert any("waiting for capacity, place 2" in line for line in frames(60, *places))
    written = io.StringIO()
    with view_on(Console(file=written, width=60)) as shown:
        for one in places:
            shown.show(one)
    told = [line.split("  ")[:2] for line in written.getvalue().splitlines()]
    assert told == [["PENDING", f"waiting for capacity, place {place}"] for place in (3, 2)]


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
