"""Step by step on the page of ``lnn view``, in a real browser; the run's steps are played by the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser.test_view import LOOKS, Served, Trained, open_page, serve, xor
from lnn.job.pauses import Pauses
from lnn.runs.attributes import Paused
from lnn_client import inspection
from support.browser_pages import violations

__all__ = ["open_page", "serve"]


class Stepped:
    """A run of which a test plays the steps."""

    def __init__(self) -> None:
        self.trained = xor()
        plan = {**self.trained.plan.as_json(), "stepped": True, "strategy": "neuron"}
        settings = {"step": True}
        whole = self.trained.run
        self.run = replace(whole, status="RUNNING", epoch=0, generation=1, settings=settings, plan=plan)
        self.trained.run = self.run
        self.presses: list[int] = []
        self.slow = threading.Event()
        self.slow.set()

    def wait_at(self, number: int) -> None:
        pauses = Pauses.of(self.run.plan or {})
        pause = pauses.at(number)
        assert pause is not None
        paused: Paused = {
            "number": number,
            "generation": 1,
            "since": 1.0,
            "epoch": pause.epoch,
            "batch": pause.batch,
            "after": pause.after,
            "layer": pause.layer,
        }
        if pause.after == "cost":
            paused["cost"] = 0.693147
        self.run = replace(self.run, paused=paused, epoch=pause.epoch - 1)
        self.trained.run = self.run

    def press(self, _: object, run_id: str, *, expected: int) -> Any:
        """Stands for ``next_step``."""
        assert run_id == self.run.run_id
        assert self.slow.wait(20)
        self.presses.append(expected)
        if expected == self.run.steps_allowed:
            self.run = replace(self.run, steps_allowed=expected + 1)
            self.wait_at(expected + 2)
        return self.run


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stepped]:
    made = Stepped()
    monkeypatch.setattr(inspection, "next_step", made.press)
    made.wait_at(1)
    yield made
    made.slow.set()


def test_next_takes_a_step_and_says_what_was_done_and_what_comes(
    stepped: Stepped, serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(stepped.trained))
    done, following = page.locator("#step-done"), page.locator("#step-following")
    expect(done).to_have_text("Epoch 1: layer 1 forward has been computed: 6 neurons.")
    expect(following).to_have_text("Next: layer 2 forward.")
    expect(page.locator("#step-shown")).to_contain_text("newest network below is that after epoch 0, the start")
    page.click("#step-next")
    expect(done).to_have_text("Epoch 1: layer 2 forward has been computed: 1 neuron.")
    page.click("#step-next")
    expect(done).to_have_text("Epoch 1: the cost has been computed: 0.693147.")
    expect(following).to_have_text("Next: layer 2 backward.")
    for _ in range(3):
        page.click("#step-next")
    expect(done).to_have_text("Epoch 2: layer 1 forward has been computed: 6 neurons.")
    expect(page.locator("#step-shown")).to_contain_text("after epoch 1")
    expect(page.locator("#epoch-label")).to_have_text("epoch 1 of 60")
    assert stepped.presses == list(range(5))


def test_presses_that_come_fast_are_each_a_step_of_their_own(
    stepped: Stepped, serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(stepped.trained))
    stepped.slow.clear()
    page.dblclick("#step-next")
    page.keyboard.press("n")
    stepped.slow.set()
    expect(page.locator("#step-done")).to_contain_text("layer 2 backward has been computed")
    assert stepped.presses == [0, 1, 2]


def test_the_key_is_a_letter_where_one_types(
    stepped: Stepped, serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(stepped.trained))
    page.focus("#go-neuron")
    page.keyboard.press("n")
    page.focus("#step-next")
    page.keyboard.press("Control+n")
    page.keyboard.press("n")
    expect(page.locator("#step-done")).to_contain_text("layer 2 forward has been computed")
    assert stepped.presses == [0]


def test_a_step_that_fails_says_so_and_the_next_press_asks_for_it_again(
    stepped: Stepped, serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(stepped.trained))
    page.route("**/api/next", lambda route: route.abort())
    page.click("#step-next")
    expect(page.locator("#status")).to_contain_text("lnn view has ended")
    page.unroute("**/api/next")
    page.click("#step-next")
    expect(page.locator("#step-done")).to_contain_text("layer 2 forward has been computed")
    assert stepped.presses == [0]


def test_the_part_is_there_for_stepped_runs_alone_and_goes_with_their_end(
    stepped: Stepped, serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    expect(open_page(serve(xor())).locator("#steps")).to_be_hidden()
    page = open_page(serve(stepped.trained))
    expect(page.locator("#steps")).to_be_visible()
    stepped.trained.run = replace(stepped.run, status="STOPPED")
    expect(page.locator("#steps")).to_be_hidden()


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_of_it_is_readable(
    stepped: Stepped,
    serve: Callable[[Trained], Served],
    open_page: Callable[..., Any],
    expect: Callable[[Any], Any],
    tools: Path,
    look: str,
) -> None:
    (axe,) = tools.rglob("axe.min.js")
    page = open_page(serve(stepped.trained), **LOOKS[look])
    page.click("#step-next")
    expect(page.locator("#step-done")).to_contain_text("layer 2 forward")
    assert violations(page, axe.read_text(encoding="utf-8")) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
