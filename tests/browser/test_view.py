"""The page of ``lnn view`` in a real browser, from the real server over runs that were trained in memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest

from lnn.data.in_memory import TrainingData, ValidationSet
from lnn.network import init_parameters
from lnn.parameter_server.records import Invocation
from lnn.runs.record import EpochRow, Run
from lnn_cli.report import page as report_page
from lnn_cli.report.findings import Findings
from lnn_cli.view.saved import saved_view
from lnn_cli.view.server import ViewServer
from lnn_client.cloud import Target
from lnn_client.inspection import Inspection
from lnn_client.invocations import Feed
from lnn_client.neurons import layers_of
from support.browser_pages import violations, watched_pages
from support.plans import plan
from support.scaled_digits import DIGITS

PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
LOOKS = {"light": {"color_scheme": "light"}, "dark": {"color_scheme": "dark"}, "phone": PHONE}


class Trained:
    """Stands for ``Replay``: a run of full batches that is trained beforehand and shown up to ``run.epoch``."""

    def __init__(self, epochs: int, X: Any, y: Any, features: Sequence[str] = (), **how: Any) -> None:
        self.features = features
        train = slice(0, len(y) * 3 // 4)
        test = slice(len(y) * 3 // 4, len(y))
        self.plan = plan(
            epochs=epochs,
            examples=len(y[train]),
            test_examples=len(y[test]),
            batch_size=None,
            **{"strategy": "fused", **how},
        )
        units = self.plan.sizes[-1]
        Y = y[np.newaxis].astype(float) if units == 1 else np.eye(units)[y].T
        nothing = ValidationSet(X[:, :0], Y[:, :0], y[:0])
        self.data = TrainingData(X[:, train], Y[:, train], y[train], X[:, test], y[test], nothing)
        about: Any = {"strategy": self.plan.strategy, "plan": self.plan.as_json()}
        self.run = Run("20261129T080000Z-aaaaaaaa", "COMPLETED", epochs=epochs, epoch=epochs, **about)
        self._parameters: list[Any] = []
        self._rows: list[EpochRow] = []
        self._train(epochs)

    def _train(self, epochs: int) -> None:
        data, network = self.data, self.plan.network
        parameters = init_parameters(self.plan.sizes, self.plan.activations, "auto", 3, "float64")
        for epoch in range(epochs + 1):
            self._parameters.append(parameters)
            train = network.tally(parameters, data.X, data.y).correct / data.X.shape[1]
            test = network.tally(parameters, data.X_test, data.y_test).correct / data.X_test.shape[1]
            cost = network.cost(parameters, data.X, data.Y)
            self._rows.append(EpochRow(epoch, cost, train, test, seconds=0.1))
            layers = layers_of(self.plan, parameters, data.X, data.Y)
            parameters = [
                (W - dZ @ before.T / dZ.shape[1], b - dZ.mean(axis=1, keepdims=True))
                for (W, b), (before, _, _, dZ) in zip(parameters, layers, strict=True)
            ]

    @property
    def history(self) -> list[EpochRow]:
        return self._rows[1 : self.run.epoch + 1]

    @property
    def complete_to(self) -> int:
        return self.run.epoch

    def follow(self) -> Run:
        return self.run

    def parameters(self, epoch: int) -> Any:
        return [(W.copy(), b.copy()) for W, b in self._parameters[epoch]]


def digits() -> Trained:
    with h5py.File(DIGITS) as file:
        X, y = file["train_set_x"][:400].reshape(400, -1).T / 255, file["train_set_y"][:400]
    names = [str(digit) for digit in range(10)]
    how = {"sizes": [64, 16, 10], "activations": ["tanh", "softmax"], "image_shape": [8, 8]}
    return Trained(40, X, y, list_classes=names, **how)


def xor() -> Trained:
    X = np.random.default_rng(5).uniform(-1, 1, (2, 200))
    y = (X[0] * X[1] > 0).astype(np.int64)
    how = {"sizes": [2, 6, 1], "activations": ["tanh", "sigmoid"], "list_classes": ["apart", "same"]}
    return Trained(60, 3 * X, y, features=["across", "up"], **how)


class Served:
    """A run and its server."""

    def __init__(self, trained: Trained, recorded: RecordedInMemory | None = None) -> None:
        self.trained = trained
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lnn_client.inspection.Replay", lambda cloud, run: trained)
            self.inspection = Inspection(None, trained.run)  # type: ignore[arg-type]
            patch.setattr("lnn_client.invocations.Recorded", lambda cloud, run_id: recorded)
            feed = None if recorded is None else Feed(None, "")  # type: ignore[arg-type]
        self._server = ViewServer(self.inspection, 0, feed)
        self.url = self._server.address
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class RecordedInMemory:
    """Stands for ``Recorded``: every neuron forward and backward in every epoch, the Trainer after each step."""

    def __init__(self, sizes: Sequence[int], epochs: int, seconds: float = 0.1) -> None:
        self.all: list[Invocation] = []
        start = 1764400000.0
        for epoch in range(1, epochs + 1):
            layers = range(1, len(sizes))
            for state, layer in [
                *(("forward", one) for one in layers),
                *(("backward", one) for one in reversed(layers)),
            ]:
                self.all += [
                    *(
                        self._one("neuron", start, seconds, state, layer, epoch, each + 1)
                        for each in range(sizes[layer])
                    ),
                    self._one("trainer", start + seconds, seconds / 5, state, layer, epoch),
                ]
                start += 1.5 * seconds
        self.given = 0

    @staticmethod
    def _one(role: str, start: float, seconds: float, state: str, layer: int, epoch: int, neuron: Any = None) -> Any:
        place = {"layer": layer, "neuron": neuron, "epoch": epoch, "batch": 0, "generation": 1}
        odd = {"cold": epoch == 1 and state == "forward", "memory_mb": 1769}
        return Invocation(role, start, seconds, state, **place, **odd)

    def skip(self) -> None:
        """There is nothing from before."""

    def new(self) -> list[Invocation]:
        found, self.given = self.all[self.given :][:60], self.given + 60
        return found

    def of_epoch(self, epoch: int) -> list[Invocation]:
        return [one for one in self.all if one.epoch == epoch]


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def served(trained: Trained, recorded: RecordedInMemory | None = None) -> Served:
        running.append(Served(trained, recorded))
        return running[-1]

    yield served
    for one in running:
        one.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a run's page."""
    with watched_pages(browser) as opener:
        yield lambda served, fragment="", ready="#answer:not(:empty)", **how: opener(served.url, fragment, ready, **how)


def tile(layer: int, neuron: int) -> str:
    return f'#neurons button[aria-label="neuron {neuron} of layer {layer}"]'


def figure(value: float) -> str:
    """Three digits, as the page writes them."""
    return f"{value:.3g}"


def test_the_slider_moves_through_the_epochs(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    served = serve(digits())
    page = open_page(served)
    expect(page.locator("#epoch-label")).to_have_text("epoch 40 of 40")
    page.locator("#epoch").press("Home")
    expect(page.locator("#epoch-label")).to_have_text("epoch 0 of 40")
    expect(page.locator("#canvas")).to_have_attribute(
        "aria-label", re.compile("after epoch 0: 64 inputs, then 16 tanh")
    )
    page.click("#next")
    expect(page.locator("#epoch-label")).to_have_text("epoch 1 of 40")
    expect(page.locator("#curves .note").first).to_have_text(f"cost {figure(served.trained.history[0].cost)}")
    expect(page.locator("#epoch")).to_have_attribute("aria-valuetext", "epoch 1 of 40")


def test_play_runs_to_the_last_epoch(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(xor()), "#epoch=40")
    expect(page.locator("#epoch-label")).not_to_have_text("epoch 60 of 60")
    page.click("#play")
    expect(page.locator("#epoch-label")).to_have_text("epoch 60 of 60")
    expect(page.locator("#play")).to_have_text("Play")


def test_a_click_on_a_neuron_shows_its_numbers(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    served = serve(digits())
    page = open_page(served)
    page.click(tile(1, 3))
    expect(page.locator("#neuron-title")).to_have_text("neuron 3 of layer 1")
    example = int(page.input_value("#example"))
    (numbers,) = served.inspection.neuron(40, 1, 3, [example])["examples"]
    expect(page.locator("#formula")).to_contain_text(f"= {figure(numbers.z)}")
    expect(page.locator("#pictures canvas")).to_have_count(3)

    page.click("#example-next")
    expect(page.locator("#example")).not_to_have_value(str(example))
    other = int(page.input_value("#example"))
    z = served.inspection.example(40, other)["layers"][0]["z"][2]
    expect(page.locator("#formula p").first).to_contain_text(f"= {figure(z)}")


def test_a_reload_shows_the_same(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(xor()))
    page.click(tile(1, 4))
    page.locator("#epoch").press("Home")
    page.wait_for_url(re.compile("#epoch=0&example=[0-9]+&neuron=1%2C4$"))
    page.reload()
    expect(page.locator("#epoch-label")).to_have_text("epoch 0 of 60")
    expect(page.locator("#neuron-title")).to_have_text("neuron 4 of layer 1")


def test_a_neuron_s_story_is_of_the_epochs_that_were_seen(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    served = serve(xor())
    page = open_page(served)
    page.click(tile(1, 4))
    expect(page.locator("#story-note")).to_contain_text("1 epoch seen")
    page.locator("#epoch").press("Home")
    first, last = (served.trained.parameters(epoch)[0] for epoch in (0, 60))
    lengths = [figure(float(np.linalg.norm(W[3]))) for W, _ in (first, last)]
    biases = [figure(b.item(3)) for _, b in (first, last)]
    expect(page.locator("#story")).to_have_attribute(
        "aria-label",
        f"Over 2 epochs seen: |w| from {lengths[0]} to {lengths[1]}, b from {biases[0]} to {biases[1]}",
    )


def test_the_keyboard_reaches_every_neuron(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(xor()))
    page.focus(tile(1, 1))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#neuron-title")).to_have_text("neuron 2 of layer 1")
    expect(page.locator(tile(1, 2))).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#neuron-title")).to_have_text("neuron 1 of layer 2")
    page.fill("#go-neuron", "6")
    page.select_option("#go-layer", "1")
    page.click("#go button")
    expect(page.locator("#neuron-title")).to_have_text("neuron 6 of layer 1")
    assert page.locator('#neurons button[tabindex="0"]').count() == 1


def test_a_what_if_changes_the_answer_until_it_is_put_back(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    served = serve(xor())
    page = open_page(served)
    answer = page.inner_text("#answer")
    page.click(tile(2, 1))
    expect(page.locator("#off")).to_be_disabled()
    given = served.inspection.example(60, int(page.input_value("#example")))["answer"]
    other = {"apart": "same", "same": "apart"}[given]
    page.fill("#weight-input", "0")
    page.fill("#weight-value", "100" if other == "same" else "-100")
    page.click("#weight button")
    expect(page.locator("#outcome")).to_contain_text(f"answer {given} → {other}")
    expect(page.locator("#answer")).to_contain_text(other)

    page.click("#back")
    expect(page.locator("#what-if")).to_be_hidden()
    expect(page.locator("#answer")).to_have_text(answer)
    page.click(tile(1, 2))
    page.click("#off")
    expect(page.locator("#changes li")).to_have_text("neuron 2 of layer 1 is off")
    found = served.inspection.what_if(60, int(page.input_value("#example")), [(1, 2)], [])
    expect(page.locator("#outcome")).to_contain_text(
        f"test accuracy {found['before']['test']:.1%} → {found['test']:.1%}"
    )


def test_a_frozen_weight_keeps_its_value_in_later_epochs_and_neurons_are_off_together(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    served = serve(xor())
    page = open_page(served, "#epoch=40&neuron=2,1")
    page.locator("#epoch").press("Home")
    expect(page.locator("#canvas")).to_have_attribute("data-epoch", "0")
    expect(page.locator("#neuron-title")).to_have_text("neuron 1 of layer 2")
    page.fill("#weight-input", "2")
    page.click("#freeze")
    start = float(served.trained.parameters(0)[1][0][0, 1])
    said = f"weight 2 of neuron 1 of layer 2 stays at {figure(start)} from epoch 0 on"
    expect(page.locator("#changes li")).to_have_text(said)

    page.locator("#epoch").press("End")
    weights = [{"layer": 2, "neuron": 1, "input": 2, "value": start}]
    example = int(page.input_value("#example"))
    frozen = served.inspection.what_if(60, example, [], weights)
    expect(page.locator("#outcome")).to_contain_text(
        f"training accuracy {frozen['before']['train']:.1%} → {frozen['train']:.1%}"
    )
    for neuron in (3, 4):
        page.click(tile(1, neuron))
        expect(page.locator("#neuron-title")).to_have_text(f"neuron {neuron} of layer 1")
        page.click("#off")
    expect(page.locator("#changes li")).to_have_count(3)
    off = served.inspection.what_if(60, example, [(1, 3), (1, 4)], weights)
    expect(page.locator("#outcome")).to_contain_text(
        f"training accuracy {off['before']['train']:.1%} → {off['train']:.1%}"
    )


def test_a_run_that_trains_is_followed_to_its_end(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    served = serve(digits())
    whole = served.trained.run
    served.trained.run = replace(whole, status="RUNNING", epoch=0)
    page = open_page(served)
    expect(page.locator("#facts")).to_contain_text("RUNNING")
    expect(page.locator("#epoch-label")).to_have_text("epoch 0 of 40")
    served.trained.run = replace(whole, status="RUNNING", epoch=5)
    expect(page.locator("#epoch-label")).to_have_text("epoch 5 of 40")
    page.click("#previous")
    expect(page.locator("#epoch-label")).to_have_text("epoch 4 of 40")
    served.trained.run = whole
    expect(page.locator("#facts")).to_contain_text("COMPLETED")
    expect(page.locator("#epoch-label")).to_have_text("epoch 4 of 40")
    expect(page.locator("#follow-label")).to_be_hidden()


@pytest.mark.parametrize("make", [digits, xor])
def test_the_page_is_saved_as_one_file_with_its_slider(
    serve: Callable[[Trained], Served],
    open_page: Callable[..., Any],
    expect: Callable[[Any], Any],
    tools: Path,
    tmp_path: Path,
    make: Callable[[], Trained],
) -> None:
    page = open_page(serve(make()))
    page.click(tile(1, 3))
    page.locator("#epoch").press("Home")
    expect(page.locator("#canvas")).to_have_attribute("data-epoch", "0")
    said = page.inner_text("#formula")
    with page.expect_download() as download:
        page.click("#share")
    assert download.value.suggested_filename == f"{page.title().split()[0]}.html"
    download.value.save_as(tmp_path / "saved.html")
    page.close()

    file = open_page(SimpleNamespace(url=(tmp_path / "saved.html").as_uri()))
    expect(file.locator("#epoch-label")).to_contain_text(re.compile("epoch ([46]0) of"))
    file.click(tile(1, 3))
    file.locator("#epoch").press("Home")
    expect(file.locator("#canvas")).to_have_attribute("data-epoch", "0")
    expect(file.locator("#formula")).to_have_text(re.compile(r"\s*".join(map(re.escape, said.split("\n")))))
    expect(file.locator("#off")).to_be_hidden()
    expect(file.locator("#share")).to_be_hidden()
    expect(file.locator("#saved")).to_contain_text("The file is complete in itself.")
    (axe,) = tools.rglob("axe.min.js")
    assert violations(file, axe.read_text(encoding="utf-8")) == []
    file.click("#play")
    expect(file.locator("#epoch-label")).to_contain_text(re.compile("epoch ([46]0) of"))


def test_a_report_holds_the_page(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any], tmp_path: Path
) -> None:
    served = serve(digits())
    findings = Findings(served.trained.run, served.trained.history)
    html = report_page.html(findings, Target.LOCAL, saved_view(served.inspection, now=0.0))
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    page = open_page(SimpleNamespace(url=(tmp_path / "report.html").as_uri()), ready="iframe")
    inside = page.frame_locator("iframe")
    expect(inside.locator("#epoch-label")).to_have_text("epoch 40 of 40")
    inside.locator("#epoch").press("Home")
    expect(inside.locator("#canvas")).to_have_attribute("data-epoch", "0")
    inside.locator(tile(1, 2)).click()
    expect(inside.locator("#neuron-title")).to_have_text("neuron 2 of layer 1")


def test_the_page_says_that_its_server_has_ended(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(xor()))
    page.route("**/api/**", lambda route: route.abort())
    page.click("#example-next")
    expect(page.locator("#status")).to_contain_text("lnn view has ended")


SOME = re.compile("^[1-9]")


def lambdas(epochs: int = 8, **settings: Any) -> tuple[Trained, RecordedInMemory]:
    """A run of strategy ``neuron`` with what it has recorded."""
    X = np.random.default_rng(5).uniform(-1, 1, (2, 100))
    how = {"sizes": [2, 4, 1], "activations": ["tanh", "sigmoid"], "list_classes": ["apart", "same"]}
    trained = Trained(epochs, 3 * X, (X[0] * X[1] > 0).astype(np.int64), strategy="neuron", **how, **settings)
    return trained, RecordedInMemory([2, 4, 1], epochs)


def test_tiles_light_up_while_a_run_goes_on_and_are_dark_when_it_is_played(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    trained, recorded = lambdas()
    trained.run = replace(trained.run, status="RUNNING", epoch=2)
    page = open_page(serve(trained, recorded))
    expect(page.locator("#lambdas-note")).to_contain_text(
        re.compile(r"Epoch \d, layer \d, (for|back)ward: \d of \d neurons, ")
    )
    expect(page.locator("#lambdas-note")).to_contain_text("invocations a second")
    expect(page.locator("#lights")).to_have_attribute("data-lit", SOME)
    trained.run = replace(trained.run, status="COMPLETED", epoch=8)
    expect(page.locator("#lambdas-note")).to_have_attribute("data-played", str(len(recorded.all)))
    expect(page.locator("#lights")).to_have_attribute("data-lit", "0")
    expect(page.locator("#lights-label")).to_be_hidden()


def test_a_run_that_was_taken_over_says_so_with_its_lambdas(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    trained, recorded = lambdas()
    trained.run = replace(trained.run, status="RUNNING", epoch=2)
    begun = recorded.all[15]
    recorded.all[15:15] = [
        replace(begun, role="trainer", state="start", layer=None, neuron=None, epoch=None, generation=2),
        replace(begun, failed=True),
        replace(begun, attempt=2),
    ]
    page = open_page(serve(trained, recorded))
    expect(page.locator("#lambdas-note")).to_contain_text(re.compile(r"^Generation 2 began at \d\d:\d\d:\d\d\.\d\d\. "))
    expect(page.locator("#lambdas-note")).to_contain_text("Waiting for the next invocations.")


def test_late_copies_and_neurons_that_never_arrived_show_and_are_no_part_of_the_step(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    trained, recorded = lambdas()
    last = next(
        one for one in recorded.all if (one.epoch, one.state, one.layer, one.role) == (3, "backward", 1, "neuron")
    )
    recorded.all += [
        replace(last, state="forward", neuron=2, late=True, start=last.start + 0.01),
        replace(last, state="forward", neuron=4, missed=True, seconds=0.0, start=last.start + 0.02),
    ]
    page = open_page(serve(trained, recorded), "#epoch=3")
    page.click(tile(1, 4))
    expect(page.locator("#own tr")).to_have_count(3)
    expect(page.locator("#own")).to_contain_text("never arrived")
    page.click(tile(1, 2))
    expect(page.locator("#own")).to_contain_text("late")
    page.click("#replay")
    expect(page.locator("#lambdas-note")).to_contain_text("layer 1, backward: 4 of 4 neurons.")


def test_the_lambdas_of_an_epoch_are_played_again(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    trained, recorded = lambdas()
    page = open_page(serve(trained, recorded), "#epoch=3")
    page.click("#replay")
    expect(page.locator("#replay")).to_have_text("Stop")
    expect(page.locator("#lambdas-note")).to_contain_text("Epoch 3, layer 2, backward: 1 of 1 neurons.")
    expect(page.locator("#lambdas-note")).to_contain_text("of its pace")
    page.click("#replay")
    expect(page.locator("#replay")).to_have_text("Play this epoch's Lambdas")
    expect(page.locator("#lights")).to_have_attribute("data-lit", "0")
    empty = "(it) => it.getContext('2d').getImageData(0, 0, it.width, it.height).data.every((one) => one === 0)"
    assert page.locator("#lights").evaluate(empty)


def test_a_neuron_s_invocations_are_listed(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    trained, recorded = lambdas()
    page = open_page(serve(trained, recorded), "#epoch=1")
    page.click(tile(1, 3))
    expect(page.locator("#own tr")).to_have_count(2)
    expect(page.locator("#own tr").first).to_contain_text(re.compile("^07:06:40.00100.0forward1cold$"))
    expect(page.locator("#own tr").last).to_contain_text("backward1warm")
    page.locator("#epoch").press("Home")
    expect(page.locator("#own-note")).to_have_text("Epoch 0 is the start: it had not worked yet.")
    expect(page.locator("#own-table")).to_be_hidden()


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETED"])
def test_a_run_that_records_no_lambdas_says_so_and_offers_none(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any], status: str
) -> None:
    trained, _ = lambdas(timeline=False)
    trained.run = replace(trained.run, status=status)
    page = open_page(serve(trained), "#epoch=3")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.click(tile(1, 2))
    said = "With snapshots: 0 a run does not record when its Lambdas worked."
    expect(page.locator("#lambdas-note")).to_have_text(said)
    expect(page.locator("#own-note")).to_have_text(said)
    for name in ("replay", "lights-label", "lambdas-legend", "own-table"):
        expect(page.locator(f"#{name}")).to_be_hidden()
    expect(page.locator("#formula")).not_to_be_empty()
    assert asked
    assert not [url for url in asked if "invocations" in url]


def test_who_wants_no_motion_sees_the_tiles_lit_too(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    trained, recorded = lambdas()
    page = open_page(serve(trained, recorded), "#epoch=3", reduced_motion="reduce")
    page.click("#replay")
    expect(page.locator("#lambdas-note")).to_contain_text("Epoch 3")
    expect(page.locator("#lights")).to_have_attribute("data-lit", SOME)


def test_runs_of_other_strategies_say_nothing_of_lambdas(
    serve: Callable[..., Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(xor()))
    page.click(tile(1, 1))
    expect(page.locator("#formula")).not_to_be_empty()
    expect(page.locator("#lambdas")).to_be_hidden()
    expect(page.locator("#own-part")).to_be_hidden()


@pytest.mark.parametrize("make", [digits, xor, lambdas])
@pytest.mark.parametrize("look", LOOKS)
def test_every_look_is_readable(
    serve: Callable[[Trained], Served],
    open_page: Callable[..., Any],
    expect: Callable[[Any], Any],
    tools: Path,
    look: str,
    make: Callable[[], Any],
) -> None:
    """axe finds nothing that keeps people out, and nothing is wider than the window."""
    (axe,) = tools.rglob("axe.min.js")
    made = make()
    page = open_page(serve(*made) if isinstance(made, tuple) else serve(made), **LOOKS[look])
    page.click(tile(1, 2))
    if isinstance(made, tuple):
        expect(page.locator("#own tr")).to_have_count(2)
    page.click("#off")
    expect(page.locator("#outcome")).not_to_be_empty()
    assert violations(page, axe.read_text(encoding="utf-8")) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_a_run_that_diverged_is_shown(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    trained = xor()
    for W, b in trained._parameters[60]:
        W[0], b[0] = np.inf, np.nan
    page = open_page(serve(trained))
    page.click(tile(1, 1))
    expect(page.locator("#formula")).to_contain_text("dz = unknown")
    expect(page.locator("#formula p").first).to_have_text("z = w · x + b = unknown + unknown = unknown")
    page.click("#off")
    expect(page.locator("#outcome")).not_to_be_empty()


def test_dark_and_light_follow_the_system(serve: Callable[[Trained], Served], open_page: Callable[..., Any]) -> None:
    served = serve(xor())
    corner = "document.getElementById('canvas').getContext('2d').getImageData(1, 1, 1, 1).data[0]"
    shades = {}
    for scheme in ("dark", "light"):
        page = open_page(served, color_scheme=scheme)
        shades[scheme] = page.evaluate(f"new Promise(requestAnimationFrame).then(() => {corner})")
    assert shades["dark"] < 100 < shades["light"]


def test_a_window_that_changes_its_width_shows_the_whole_network_again(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    page = open_page(serve(xor()), "#neuron=1,5", viewport={"width": 1300, "height": 800})
    expect(page.locator("#bars")).to_contain_text("across")  # of a table's columns the inputs have the names
    expect(page.locator("#go-neuron")).to_have_value("5")
    page.set_viewport_size({"width": 700, "height": 800})
    expect(page.locator(tile(2, 1))).to_be_in_viewport(ratio=1)
    painted = "(it) => it.getContext('2d').getImageData(0, 0, it.width, it.height).data.some((one) => one !== 0)"
    assert page.locator("#canvas").evaluate(painted)


def test_hundreds_of_neurons_fold_into_grids(
    serve: Callable[[Trained], Served], open_page: Callable[..., Any], expect: Callable[[Any], Any]
) -> None:
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(64, 40)), np.arange(40) % 10
    names = [f"class {number}" for number in range(10)]
    how = {"sizes": [64, 150, 140, 10], "activations": ["relu", "relu", "softmax"], "image_shape": [8, 8]}
    page = open_page(serve(Trained(8, X, y, list_classes=names, **how)), viewport={"width": 1280, "height": 800})
    expect(page.locator("#neurons button")).to_have_count(300)
    page.click(tile(2, 137))
    expect(page.locator("#neuron-title")).to_have_text("neuron 137 of layer 2")
    page.locator("#epoch").press("Home")
    page.click("#play")
    expect(page.locator("#epoch-label")).to_have_text("epoch 8 of 8")
