"""``lnn report``: one file that tells all about a run, and needs nothing else."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import boto3
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from PIL import Image

from lnn.data.dataset import write_dataset
from lnn.parameter_server.records import Invocation
from lnn.runs.record import Run
from lnn_cli.report.charts import _mosaic, charts_of
from lnn_cli.report.findings import Findings, gather
from lnn_cli.ui.charts import LIGHT
from lnn_client.cloud import Cloud, Target
from lnn_client.invocations import NOT_RECORDED
from lnn_client.timeline import Timeline, timeline

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

pytestmark = pytest.mark.slow

RUN = "20261121T000000Z-aaaaaaaa"
PICTURES = ["curves", "confusion", "mistakes", "weights", "later-weights", "timeline"]


class Page(HTMLParser):
    """What a browser would load, and what a reader would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text += " ".join(data.split()) + " "

    def all(self, tag: str, attribute: str) -> list[str]:
        return [str(attrs[attribute]) for name, attrs in self.tags if name == tag and attribute in attrs]


def log(role: str, request: str, milliseconds: float, **line: Any) -> None:
    """What an invocation leaves in its function's log, as Lambda and the functions' logger write it."""
    logs = boto3.client("logs")
    group, now = f"/aws/lambda/lnn-{role}", int(time.time() * 1000)
    try:
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
    except logs.exceptions.ResourceAlreadyExistsException:
        pass
    messages = [
        f"START RequestId: {request} Version: 1",
        json.dumps({"level": "INFO", "message": "handled", "function_request_id": request, **line}),
        f"REPORT RequestId: {request}\tDuration: {milliseconds} ms\tBilled Duration: 5 ms\tMemory Size: 128 MB",
    ]
    events: Any = [{"timestamp": now, "message": message} for message in messages]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)


def logs_of(run_id: str) -> None:
    log("launch", "l", 900.0, run_id=run_id)
    log("trainer", "t", 400.0, run_id=run_id, generation=1, state="start", epoch=0, layer=0)
    for neuron in range(1, 4):
        for state in ("forward", "backward"):
            asked = {"run_id": run_id, "generation": 1, "state": state, "epoch": 1, "layer": 1, "neuron": neuron}
            log("neuron", f"{state}-{neuron}", 12.5, **asked)
    log("neuron", "broken", 3.0, run_id=run_id, generation=1, state="forward", layer=2, neuron=1, level="ERROR")
    log("neuron", "another", 3.0, run_id="20261121T000009Z-cccccccc", state="forward", layer=1, neuron=1)


@pytest.fixture
def finished(world: World) -> World:
    world.train_whole(RUN, epochs=30)
    logs_of(RUN)
    return world


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that take no time, for tests that are about the words."""
    monkeypatch.setattr("lnn_cli.report.page.render", lambda *_, **__: b"<svg/>")


def test_a_page_holds_everything_itself_in_light_and_dark(cli: RunCli, finished: World) -> None:
    result = cli("report", RUN, "-o", "report.html")
    assert result.exit_code == 0, result.output
    (missing,) = result.stderr.splitlines()  # this run has not stored its examples
    assert missing.startswith("not in it: no view of the network:")
    page = Page(Path("report.html").read_text())
    loaded = page.all("img", "src") + page.all("source", "srcset")
    assert len(loaded) == 2 * len(PICTURES)
    for uri in loaded:
        kind, _, content = uri.partition(";base64,")
        assert kind == "data:image/svg+xml"
        picture = ET.fromstring(base64.b64decode(content))  # noqa: S314 - our own
        links = [value for one in picture.iter() for name, value in one.attrib.items() if name.endswith("href")]
        assert all(link.startswith(("#", "data:")) for link in links)
    assert len(set(loaded)) == len(loaded)
    assert page.all("source", "media") == ["(prefers-color-scheme: dark)"] * len(PICTURES)
    assert all(page.all("img", "alt"))
    assert {link[0] for link in page.all("a", "href")} == {"#"}
    assert {link.removeprefix("#") for link in page.all("a", "href")} <= set(page.all("section", "id"))
    assert not {"script", "link"} & {tag for tag, _ in page.tags}
    assert all(sandbox == "allow-scripts" for sandbox in page.all("iframe", "sandbox"))
    (policy,) = (str(attrs["content"]) for tag, attrs in page.tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_a_program_writes_the_page_that_the_command_writes(cli: RunCli, finished: World, blank: None) -> None:
    assert cli("report", RUN, "-o", "report.html").exit_code == 0
    run = Cloud("aws").run(RUN)
    assert run.report("own.html") == Path("own.html")
    assert Path("own.html").read_text() == Path("report.html").read_text()
    assert run.report() == Path(f"{RUN}.html")


def test_a_page_tells_settings_figures_and_estimates_beside_what_it_took(
    cli: RunCli, finished: World, blank: None
) -> None:
    cli("report", RUN)
    text = Page(Path(f"{RUN}.html").read_text()).text
    for told in (
        f"Run {RUN}",
        "COMPLETED",
        "network 16-3-1, 8 training examples",
        "80.0%",
        "learning_rate 0.1",
        "upload to model 9.9 s 4.5 s",
        "$0.000189",
        "12 of 30 recorded epochs",
        "Nothing disturbed this run",
        "9 invocations: 1 of Launch, 1 of Trainer, 7 of Neuron",
    ):
        assert told in text, told


def test_a_page_has_the_figures_of_the_test_and_accuracy_never_without_the_base_rate(
    cli: RunCli, finished: World, blank: None
) -> None:
    """The model answers ``dark`` for all of the ten pictures, five of which are."""
    cli("report", RUN, "-o", "r.html")
    cli("report", RUN, "-o", "r.md")
    markdown = " ".join(Path("r.md").read_text().replace("|", " ").split())
    for told in (Page(Path("r.html").read_text()).text, markdown):
        for figure in (
            "50.0% of 10 examples (95% interval 23.7% to 76.3%)",
            "50.0%, by always answering dark",
            "balanced accuracy",
            "log loss",
            "By class",
            "dark 5 10 50.0% 100.0% 66.7%",
            "Reliability: how often the predicted class is right",
            "Warning: on the test examples the model is no better than always answering 'dark' (50.0%)",
        ):
            assert figure in told, figure


def test_a_page_tells_of_the_faults_that_a_run_survived(cli: RunCli, world: World, blank: None) -> None:
    world.open_run(RUN)
    world.accept(RUN)
    world.train(RUN, 3)
    world.ledger.give_up(RUN, 1, "Redis was away")
    assert world.ledger.claim(RUN, 2, "trainer")
    world.ledger.go_back(replace(world.run(RUN), checkpoint={"epoch": 1, "key": "k"}))
    world.end(RUN)
    cli("report", RUN, "-o", "r.html")
    cli("report", RUN, "-o", "r.md")
    for told in (Page(Path("r.html").read_text()).text, " ".join(Path("r.md").read_text().split())):
        assert "Taken over 1 time, after" in told
        assert "2 epochs trained again" in told
        assert "Redis was away" in told


def test_what_a_user_has_named_is_text_and_no_markup(cli: RunCli, world: World, blank: None) -> None:
    world.train_whole(RUN, classes=("<script>alert(1)</script>", "a|b", "c"), activations=("tanh", "softmax"))
    world.ledger.note(RUN, 1, "<b>odd</b> | event")
    cli("report", RUN, "-o", "report.html")
    page = Page(Path("report.html").read_text())
    assert not {"script", "b"} & {tag for tag, _ in page.tags}
    assert "<b>odd</b> | event" in page.text
    cli("report", RUN, "-o", "report.md")
    assert "\\<b\\>odd\\</b\\> \\| event |" in Path("report.md").read_text()


def test_markdown_has_its_pictures_beside_it(cli: RunCli, finished: World) -> None:
    assert cli("report", RUN, "-o", "report.md", "--theme", "dark").exit_code == 0
    text = Path("report.md").read_text()
    for name in PICTURES:
        assert f"](report-pictures/{name}.png)" in text
        with Image.open(f"report-pictures/{name}.png") as picture:
            assert picture.convert("RGB").getpixel((0, 0)) == (0x15, 0x18, 0x1F)
    assert "| upload to model | 9.9 s | 4.5 s |" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 7
    for table in tables:
        widths = {line.replace("\\|", "").count("|") for line in table.splitlines()}
        assert len(widths) == 1, table


def test_a_report_as_one_picture(cli: RunCli, finished: World) -> None:
    assert cli("report", RUN, "-o", "report.png").exit_code == 0
    with Image.open("report.png") as picture:
        width, height = picture.size
        assert height > 1.5 * width
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("kind", ["html", "md", "png"])
def test_a_run_that_was_refused_has_a_report_that_says_why(cli: RunCli, world: World, blank: None, kind: str) -> None:
    world.open_run(RUN)
    world.end(RUN, "FAILED", "epochs: a whole number is expected")
    result = cli("report", RUN, "-o", f"report.{kind}")
    assert result.exit_code == 0, result.output
    assert "not in it: no weights, evaluation and mistakes: run" in result.stderr
    assert "not in it: no timeline" in result.stderr
    if kind != "png":
        assert "epochs: a whole number is expected" in Path(f"report.{kind}").read_text()


def test_a_run_whose_own_data_has_expired_has_a_report_without_the_confusion_matrix(
    cli: RunCli, finished: World, blank: None
) -> None:
    for key in finished.stored(f"runs/{RUN}/tensors/"):
        finished.s3.delete_object(Bucket="lnn-123456789012-us-east-1", Key=key)
    result = cli("report", RUN, "-o", "report.html")
    assert result.exit_code == 0
    assert "not in it: no evaluation and mistakes: the test examples cannot be read" in result.stderr
    assert len(Page(Path("report.html").read_text()).all("img", "src")) == len(PICTURES) - 2


def test_a_report_is_not_written_over_another_file(cli: RunCli, finished: World) -> None:
    Path("report.html").write_text("mine")
    result = cli("report", RUN, "-o", "report.html")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert Path("report.html").read_text() == "mine"


def test_the_confusion_matrix_and_the_mistakes_are_those_of_the_model(finished: World) -> None:
    findings = gather(Cloud(Target.AWS), finished.run(RUN))
    tested, model = findings.tested, findings.model
    assert tested is not None
    assert model is not None
    expected = np.zeros((2, 2), int)
    wrong = []
    for index in range(10):
        (p,) = model.predict_proba(tested.X[:, [index]])[1]
        seen = int(p > 0.5)
        expected[index % 2, seen] += 1
        if seen != index % 2:
            wrong.append((-max(p, 1 - p), index))
    assert tested.evaluation.confusion == expected.tolist()
    assert 0 < len(wrong) < 10
    assert [mistake.example for mistake in tested.evaluation.mistakes] == [index for _, index in sorted(wrong)]


def test_the_report_and_evaluate_tell_the_same_mistakes_in_the_same_order(cli: RunCli, world: World) -> None:
    """The worst is whose true class got the least probability, not the surest one: of three classes these differ."""
    model = world.train_whole(RUN, classes=("a", "b", "c"), activations=("relu", "softmax"), dtype="float32")
    tested = gather(Cloud(Target.AWS), world.run(RUN)).tested
    assert tested is not None
    values = np.rint(tested.X.T * 255).astype(np.uint8).reshape(-1, 4, 4)
    labels = np.arange(15) % 3
    write_dataset("data.h5", values, labels, values, labels, model.list_classes)
    found = json.loads(cli("evaluate", "data.h5", "--model", RUN, "--worst", "15", "--target", "aws", "--json").stdout)
    assert found["mistakes"] == [asdict(mistake) for mistake in tested.evaluation.mistakes]
    assert found["confusion"] == tested.evaluation.confusion
    surest = sorted(found["mistakes"], key=lambda mistake: -mistake["probability"])
    assert surest != found["mistakes"]


@pytest.mark.parametrize(
    ("shape", "features", "classes", "activations"),
    [
        ((8, 8, 3), 192, ("cat", "other"), ("relu", "tanh", "sigmoid")),
        ((5, 4, 1), 20, tuple("abcd"), ("sigmoid", "softmax")),
        ((4, 4, 2), 32, ("a", "b"), ("relu", "sigmoid")),
        (None, 7, tuple(f"a class with a long name {k}" for k in range(35)), ("leaky_relu", "softmax")),
        ((3, 3), 9, ("x", "y"), ("sigmoid",)),
    ],
)
def test_every_kind_of_model_can_be_drawn_in_both_themes(
    cli: RunCli, world: World, shape: Any, features: int, classes: Any, activations: Any
) -> None:
    world.train_whole(RUN, shape=shape, features=features, classes=classes, activations=activations, epochs=1)
    result = cli("report", RUN, "-o", "report.html")
    assert result.exit_code == 0, result.output
    names = Page(Path("report.html").read_text()).all("section", "id")
    assert {"curves", "confusion", "weights"} < set(names)
    assert ("later-weights" in names) == (len(activations) > 1)


def test_the_curves_show_the_base_rate_and_tell_the_recall(world: World) -> None:
    counts = {"examples": [49, 1], "predicted": [50, 0], "right": [49, 0]}
    world.train_whole(RUN, ending={"test_accuracy": 0.98, "test_classes": counts})
    (chart,) = charts_of(Findings(world.run(RUN), world.ledger.history(RUN)))
    assert "Always the most frequent class is right in 98.0% of the test examples." in chart.about
    assert chart.about.endswith("Recall of the final model: 'dark' 100.0%, 'light' 0.0%.")
    figure = Figure()
    chart.draw(figure, LIGHT)
    (line,) = [line for line in figure.axes[1].lines if line.get_label() == "base rate, test"]
    assert list(line.get_ydata()) == [0.98, 0.98]


def test_a_timeline_has_each_invocation_of_the_run_with_what_it_was_asked(finished: World) -> None:
    cloud = Cloud(Target.AWS)
    read = timeline(cloud, finished.run(RUN))
    assert read.complete
    assert [one.role for one in read.invocations].count("neuron") == 7
    (broken,) = (one for one in read.invocations if one.failed)
    assert (broken.layer, broken.neuron, broken.state) == (2, 1, "forward")
    (launch,) = (one for one in read.invocations if one.role == "launch")
    assert launch.seconds == pytest.approx(0.9)
    assert [one.start for one in read.invocations] == sorted(one.start for one in read.invocations)


def test_a_timeline_of_many_neurons_has_a_row_for_each_layer(finished: World) -> None:
    many = [Invocation("neuron", 1.0 * n, 0.5, "forward", 1 + n % 2, n) for n in range(2000)]
    part = "2,000 of 4,000, up to epoch 7 of 14"
    (chart,) = charts_of(Findings(finished.run(RUN), [], timeline=Timeline(many, part)))
    assert f"Not all are shown: {part}. 2,000 invocations: 2,000 of Neuron; 1,000.0 s of functions' time" in chart.about
    assert chart.height < 3
    figure = Figure()
    chart.draw(figure, LIGHT)
    assert figure.axes[0].get_title() == part


def test_a_timeline_paints_no_direction_over_another(finished: World) -> None:
    both = [
        Invocation("neuron", 2.0 * n + later, 1.0, state, 1, 1)
        for n in range(3)
        for state, later in (("forward", 0.0), ("backward", 0.1))
    ]
    (chart,) = charts_of(Findings(finished.run(RUN), [], timeline=Timeline(both)))
    figure = Figure()
    chart.draw(figure, LIGHT)
    bars = {of.get_label(): of.get_paths() for of in figure.axes[0].collections if isinstance(of, PolyCollection)}
    low, high = (
        [extents for path in bars[state] for extents in [path.get_extents()]] for state in ("forward", "backward")
    )
    assert len(low) == len(high) == 3
    assert max(one.y1 for one in low) == pytest.approx(min(one.y0 for one in high))


def test_a_timeline_tells_of_repeats_and_cold_starts(finished: World) -> None:
    place = {"layer": 1, "neuron": 1}
    some = [Invocation("neuron", 1.0 * n, 0.5, "forward", attempt=1 + n, cold=n == 0, **place) for n in range(3)]
    (chart,) = charts_of(Findings(finished.run(RUN), [], timeline=Timeline(some)))
    assert chart.about.endswith("0 failed. 2 came to a neuron that had arrived. 1 were cold starts.")


def test_the_weights_of_each_unit_are_below_its_number() -> None:
    pictures = np.arange(5 * 8 * 10).reshape(5, 8, 10, 1).astype(float)
    mosaic, places = _mosaic(pictures, across=3)
    for picture, (x, y) in zip(pictures, places, strict=True):
        top, left = round(y + 0.7), round(x - 4.5)
        assert mosaic[top : top + 8, left : left + 10].tolist() == picture.tolist()
    assert np.isnan(mosaic).sum() == mosaic.size - pictures.size


def test_a_timeline_shows_when_nobody_was_at_work(finished: World) -> None:
    from lnn_cli.ui.charts import LIGHT, render

    findings = gather(Cloud(Target.AWS), finished.run(RUN))
    assert findings.timeline is not None
    at = findings.timeline.invocations[0].start + 1
    took_over = {"at": at, "what": "generation 2 took over", "silent_seconds": 0.5}
    for events, told in (([], False), ([took_over], True)):
        run = Run(RUN, "RUNNING", events=events)
        (chart,) = charts_of(Findings(run, [], timeline=findings.timeline))
        assert ("Shaded: nobody was at work" in chart.about) == told
        assert (b"fill: #d55e00; opacity: 0.25" in render([chart], LIGHT, "svg")) == told


@pytest.mark.parametrize("strategy", ["fused", "neuron"])
def test_a_timeline_shows_where_each_generation_began(strategy: str) -> None:
    from lnn_cli.ui.charts import LIGHT, render

    role, place = ("trainer", {}) if strategy == "fused" else ("neuron", {"layer": 1, "neuron": 1})
    handed_over = [Invocation(role, 900.0 * n, 890.0, "start", generation=n + 1, **place) for n in range(3)]
    for invocations, lines in ((handed_over, 2), (handed_over[:1], 0)):
        run = Run(RUN, "RUNNING")
        (chart,) = charts_of(Findings(run, [], timeline=Timeline(invocations)))
        assert ("3 generations: dotted lines" in chart.about) == bool(lines)
        drawn = render([chart], LIGHT, "svg")
        assert drawn.count(b"stroke-dasharray: 1,1.65") == (lines + 1 if lines else 0), "the lines, and the legend's"


@pytest.mark.parametrize("kind", ["html", "md"])
def test_a_report_begins_with_what_was_odd_about_the_dataset(cli: RunCli, world: World, blank: None, kind: str) -> None:
    run_id = "20261101T080000Z-0dd00000"
    world.open_run(run_id)
    assert world.ledger.describe(run_id, warnings=["test_set_x: found 2 of 5 <examples> in train_set_x as well"])
    world.end(run_id, "FAILED", "no reason")
    assert cli("report", run_id, "-o", f"report.{kind}").exit_code == 0
    page = Path(f"report.{kind}").read_text(encoding="utf-8")
    escaped = "&lt;examples&gt;" if kind == "html" else r"\<examples\>"
    assert f"Warning: test_set_x: found 2 of 5 {escaped} in train_set_x as well" in page
    assert "found 2 of 5 <examples>" in cli("show", run_id).stdout


def put_lines(role: str, *messages: dict[str, Any], at: float) -> None:
    """Lines that arrive in a function's log at the same time; the others log nothing."""
    logs = boto3.client("logs")
    for function in ("launch", "trainer", "neuron"):
        logs.create_log_group(logGroupName=f"/aws/lambda/lnn-{function}")
    group = f"/aws/lambda/lnn-{role}"
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    events: Any = [{"timestamp": int(at * 1000), "message": json.dumps(message)} for message in messages]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)


def told(request: str, written: float, elapsed: float, **fields: Any) -> dict[str, Any]:
    """A line as the functions write it."""
    timestamp = datetime.fromtimestamp(written, UTC).isoformat(timespec="milliseconds")
    place = {"run_id": RUN, "generation": 1, "state": "forward", "epoch": 1, "layer": 1}
    return {
        "level": "INFO",
        "message": "handled",
        "timestamp": timestamp,
        "function_request_id": request,
        "elapsed_seconds": elapsed,
        **place,
        **fields,
    }


def test_a_timeline_needs_no_line_of_lambdas_about_what_went_well(world: World) -> None:
    """As on AWS, where Lambda logs failed invocations alone."""
    world.train_whole(RUN, epochs=3)
    now = time.time()
    failed = {
        "time": "2026-11-28T10:00:00.000Z",
        "type": "platform.report",
        "record": {"requestId": "cut-off", "status": "timeout", "metrics": {"durationMs": 60_000.0}},
    }
    put_lines(
        "trainer",
        told("whole", now - 30, 0.1, message="run prepared"),
        told("whole", now - 28, 2.1),
        told("cut-off", now - 70, 1.0, level="ERROR", message="attempt failed"),
        failed,
        at=now - 10,
    )
    read = timeline(Cloud(Target.AWS), world.run(RUN))
    assert [(one.start - now, one.seconds, one.failed) for one in read.invocations] == [
        (pytest.approx(-70, abs=0.01), 60.0, True),
        (pytest.approx(-30.1, abs=0.01), 2.1, False),
    ]


def test_neurons_that_no_record_tells_of_are_missed(world: World) -> None:
    world.train_whole(RUN, epochs=3)
    put_lines("trainer", told("whole", time.time(), 2.1), at=time.time())
    cloud = Cloud(Target.AWS)
    neurons = gather(cloud, replace(world.run(RUN), strategy="neuron")).missing
    assert [what for what in neurons if what.startswith("no neurons in the timeline")]
    assert not [what for what in gather(cloud, world.run(RUN)).missing if "neurons" in what]


def test_a_run_that_records_nothing_says_that_its_timeline_is_what_was_logged(world: World) -> None:
    world.train_whole(RUN, epochs=3)
    put_lines("trainer", told("whole", time.time(), 2.1), at=time.time())
    run = world.run(RUN)
    silent = replace(run, strategy="neuron", plan={**(run.plan or {}), "timeline": False})
    found = gather(Cloud(Target.AWS), silent)
    assert f"no neurons in the timeline: {NOT_RECORDED}" in found.missing
    assert found.timeline is not None
    assert found.timeline.shown == f"1 that were logged; {NOT_RECORDED}"
