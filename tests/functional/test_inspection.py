"""A run's network looked at through the server of ``lnn view``: the very requests that the page makes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.client import BaseClient
from typer.testing import CliRunner

from lnn.models.model_file import load_model
from lnn.runs.record import EpochRow
from lnn_cli.main import app
from lnn_cli.ui.loopback import LOOPBACK
from lnn_cli.view.saved import saved_view
from lnn_cli.view.server import ViewServer
from lnn_client.cloud import Cloud
from lnn_client.errors import ClientError
from lnn_client.inspection import Inspection, epochs_shown, saturated
from lnn_client.invocations import Feed
from lnn_client.table_datasets import Choices, make_dataset
from lnn_client.tables import open_table
from support.aws_account import surroundings
from support.inprocess_cloud import InProcessCloud, tiny_dataset

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 20,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.5,
    "strategy": "fused",
}
DIVERGES: dict[str, Any] = {
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 1e200,
    "epochs": 60,
}
Ask = Callable[..., Any]


@pytest.fixture
def run_id(cloud: InProcessCloud, tmp_path: Path) -> str:
    """A completed run of examples with two features."""
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5", features=2), PARAMETERS)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    assert cloud.run_to_end(upload.run_id).status == "COMPLETED"
    return upload.run_id


@contextmanager
def serving(inspection: Inspection, feed: Feed | None = None) -> Iterator[ViewServer]:
    server = ViewServer(inspection, 0, feed)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def ask(cloud: InProcessCloud, run_id: str) -> Iterator[Ask]:
    there = Cloud("aws")
    with serving(Inspection(there, there.find_run(run_id))) as server:
        yield asker(server)


def asker(server: ViewServer) -> Ask:
    """Asks the server; an answer that is no success is (status, text of the error)."""

    def ask(path: str, body: Any = None, host: str | None = None) -> Any:
        connection = HTTPConnection(LOOPBACK, server.server_port, timeout=30)
        with closing(connection):
            method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
            connection.request(method, f"/{path}", content, {} if host is None else {"host": host})
            answer = connection.getresponse()
            found = json.loads(answer.read())
        return found if answer.status == 200 else (answer.status, found["error"])

    return ask


def test_the_overview_is_of_the_run(ask: Ask, run_id: str) -> None:
    found = ask("api/run")
    assert (found["run_id"], found["status"], found["has_ended"]) == (run_id, "COMPLETED", True)
    assert (found["sizes"], found["activations"], found["epoch"]) == ([2, 4, 1], ["tanh", "sigmoid"], 20)
    assert [row["epoch"] for row in found["history"]] == list(range(1, 21))
    assert found["epochs_shown"][0] == 0
    assert found["epochs_shown"][-1] == 20
    assert found["base_rate"] == 0.5
    assert {probe["label"] for probe in found["probes"]} == {"class 0", "class 1"}


def test_the_inputs_of_a_table_s_network_have_the_names_of_its_columns(cloud: InProcessCloud, tmp_path: Path) -> None:
    table, path = tmp_path / "rows.csv", tmp_path / "d.h5"
    rows = [f"{place / 7},{'red' if place % 3 else 'blue'},{'yes' if place > 9 else 'no'}" for place in range(20)]
    table.write_text("\n".join(["age,color,answer", *rows]))
    make_dataset(path, open_table(table), Choices("answer"), lambda _: None)
    upload = cloud.upload(path.read_bytes(), PARAMETERS)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    inspection = Inspection(Cloud("aws"), cloud.run_to_end(upload.run_id))
    assert inspection.overview()["features"] == ["age", "color=blue", "color=red"]


def test_an_epoch_has_the_model_s_weights_and_what_neurons_do_over_the_training_set(
    ask: Ask, run_id: str, cloud: InProcessCloud, tmp_path: Path
) -> None:
    (W1, b1), (W2, _) = load_model(cloud.read(f"prediction_input/{run_id}/params.h5")).parameters
    found = ask("api/epoch/20")
    first, last = found["layers"]
    np.testing.assert_allclose(first["weights"], W1, rtol=1e-12)
    np.testing.assert_allclose(first["biases"], b1[:, 0], rtol=1e-12)
    assert last["largest"] == pytest.approx(np.abs(W2).max())
    examples = [ask(f"api/epoch/20/example/{index}") for index in range(13)]
    A1 = np.array([example["layers"][0]["a"] for example in examples])
    Z1 = np.array([example["layers"][0]["z"] for example in examples])
    np.testing.assert_allclose(A1, np.tanh(Z1), rtol=1e-12)
    np.testing.assert_allclose(first["mean"], A1.mean(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(first["spread"], A1.std(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(first["active"], (Z1 > 0).mean(axis=0))
    right = [example["right"] for example in examples]
    assert np.mean(right) == pytest.approx(ask("api/run")["history"][-1]["train"], abs=0.2)
    assert all(example["right"] == (example["answer"] == example["label"]) for example in examples)


def test_a_neuron_s_histogram_counts_every_training_example(ask: Ask) -> None:
    found = ask("api/epoch/7/neuron/1/3?example=4&example=5")
    assert [example["index"] for example in found["examples"]] == [4, 5]
    assert sum(found["histogram"]["counts"]) == 13
    edges = found["histogram"]["edges"]
    assert all(edges[0] <= example["z"] <= edges[-1] for example in found["examples"])


def test_all_neurons_at_once_have_the_numbers_of_each(cloud: InProcessCloud, run_id: str) -> None:
    there = Cloud("aws")
    inspection = Inspection(there, there.find_run(run_id))
    for place, layer in enumerate(inspection.layers(7), start=1):
        for neuron, (dw, db, histogram) in enumerate(
            zip(layer["dw"], layer["db"], layer["histograms"], strict=True), start=1
        ):
            alone = inspection.neuron(7, place, neuron, [])
            np.testing.assert_allclose(dw, alone["dw"], rtol=1e-9, atol=1e-15)
            assert db == pytest.approx(alone["db"], rel=1e-9)
            assert histogram["counts"].tolist() == alone["histogram"]["counts"].tolist()


def saved(html: str) -> Any:
    """The data in a saved page."""
    return json.loads(html.partition('id="data">')[2].partition("</script>")[0])


def test_a_saved_page_has_the_numbers_that_the_server_answers(ask: Ask, cloud: InProcessCloud, run_id: str) -> None:
    there = Cloud("aws")
    data = saved(saved_view(Inspection(there, there.find_run(run_id)), now=0.0))
    shown = ask("api/run")["epochs_shown"]
    assert (data["run"]["epochs_shown"], sorted(map(int, data["frames"]))) == (shown, shown)
    frame, neuron = data["frames"]["20"], ask("api/epoch/20/neuron/1/3?example=0")
    np.testing.assert_allclose(frame["epoch"]["layers"][0]["weights"][2], neuron["w"], rtol=1e-4)
    np.testing.assert_allclose(frame["layers"][0]["dw"][2], neuron["dw"], rtol=1e-4)
    z = [frame["examples"]["0"]["layers"][0]["z"][2], neuron["examples"][0]["z"]]
    assert z[0] == pytest.approx(z[1], rel=1e-4)


def test_a_saved_page_takes_no_more_than_it_may(cloud: InProcessCloud, run_id: str) -> None:
    """Fewer epochs first, then no gradients and histograms; then it is refused."""
    there = Cloud("aws")
    inspection = Inspection(there, there.find_run(run_id))
    whole = saved_view(inspection, now=0.0)
    empty = len(whole) - len(json.dumps(saved(whole)["frames"], separators=(",", ":")))
    most = empty + (len(whole) - empty) * 3 // 4
    fewer = saved_view(inspection, now=0.0, most_bytes=most)
    assert len(fewer) <= most
    frames = saved(fewer)["frames"]
    assert 12 <= len(frames) < len(saved(whole)["frames"])
    assert ("0" in frames, "20" in frames, "layers" in frames["0"]) == (True, True, True)

    small = empty + (len(whole) - empty) // 3
    plain = saved_view(inspection, now=0.0, most_bytes=small)
    assert len(plain) <= small
    assert "layers" not in saved(plain)["frames"]["0"]
    with pytest.raises(ClientError, match="an epoch of this network takes"):
        saved_view(inspection, now=0.0, most_bytes=empty)


def test_the_server_gives_the_page_as_one_file(cloud: InProcessCloud, run_id: str) -> None:
    there = Cloud("aws")
    with serving(Inspection(there, there.find_run(run_id))) as server:
        connection = HTTPConnection(LOOPBACK, server.server_port, timeout=30)
        with closing(connection):
            connection.request("GET", "/api/share")
            answer = connection.getresponse()
            content = answer.read().decode()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert saved(content)["run"]["run_id"] == run_id


def test_a_neuron_s_page_has_its_epoch_and_opens_at_it(
    cloud: InProcessCloud, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn_cli.commands.neuron.connect", lambda *_: Cloud("aws"))
    file = tmp_path / "n.html"
    asked = ["neuron", run_id, "--neuron", "3", "--epoch", "7", "--example", "4", "--html", str(file)]
    done = CliRunner().invoke(app, asked)
    assert (done.exit_code, str(file) in done.stdout) == (0, True)
    data = saved(file.read_text(encoding="utf-8"))
    assert (data["start"], list(data["frames"])) == ("#epoch=7&example=4&neuron=1,3", ["7"])


def test_the_plane_shows_what_the_network_answers_there(ask: Ask, run_id: str, cloud: InProcessCloud) -> None:
    found = ask("api/epoch/20/plane")
    (W1, b1), (W2, b2) = load_model(cloud.read(f"prediction_input/{run_id}/params.h5")).parameters
    side = found["side"]
    assert [len(layer) for layer in found["layers"]] == [4, 1]
    corner = np.array([[found["x"][1]], [found["y"][0]]])  # the last column of the first row
    a = 1 / (1 + np.exp(-(W2 @ np.tanh(W1 @ corner + b1) + b2)))
    assert found["layers"][1][0][side - 1] == pytest.approx(a.item(), rel=1e-9)
    assert len(found["points"]) == 13


def test_what_if_changes_the_answer_and_nothing_else(ask: Ask, run_id: str, cloud: InProcessCloud) -> None:
    stored = cloud.read(f"prediction_input/{run_id}/params.h5")
    known = ask("api/epoch/20/example/0")
    same = ask("api/epoch/20/what-if", {"example": 0, "off": [], "weights": []})
    assert same["layers"] == known["layers"]
    assert (same["train"], same["test"]) == (same["before"]["train"], same["before"]["test"])

    bias = {"layer": 2, "neuron": 1, "input": 0, "value": 100.0}
    always = ask("api/epoch/20/what-if", {"example": 0, "off": [], "weights": [bias]})
    assert always["answer"] == "class 1"
    assert always["train"] == pytest.approx(6 / 13)
    weights = [{"layer": 2, "neuron": 1, "input": number, "value": 0.0} for number in range(1, 5)]
    deaf = ask("api/epoch/20/what-if", {"example": 0, "off": [], "weights": weights})
    off = ask("api/epoch/20/what-if", {"example": 0, "off": [[1, number] for number in range(1, 5)], "weights": []})
    assert off["layers"][0]["a"] == [0.0] * 4
    assert off["layers"][1] == deaf["layers"][1]
    assert ask("api/epoch/20/example/0") == known
    assert cloud.read(f"prediction_input/{run_id}/params.h5") == stored


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("api/epoch/21", None, 422, "has trained 20 epochs"),
        ("api/epoch/1/example/13", None, 422, "there is no example 13; expected 0 to 12"),
        ("api/epoch/1/neuron/3/1", None, 422, "there is no layer 3; expected 1 to 2"),
        ("api/epoch/1/neuron/1/1?example=x", None, 422, "example: found 'x'; expected a number"),
        ("api/epoch/1/what-if", {"example": 0, "off": [[2, 1]], "weights": []}, 422, "output layer cannot be off"),
        ("api/epoch/1/what-if", {"example": 0, "off": [[1, 5]], "weights": []}, 422, "no neuron 5 in layer 1"),
        ("api/epoch/1/what-if", {"example": "0"}, 422, "what-if: expected example, off and weights"),
        (
            "api/epoch/1/what-if",
            {"example": 0, "off": [], "weights": [{"layer": 1, "neuron": 1, "input": 1, "value": float("nan")}]},
            422,
            "nan is no weight",
        ),
        ("api/run?after=x", None, 422, "after: found 'x'; expected a number"),
        ("api/epoch/1/what-if", None, 405, "are POSTs, everything else is a GET"),
        ("api/epoch/1", {}, 405, "are POSTs, everything else is a GET"),
        ("api/nothing", None, 404, "there is nothing under /api/nothing"),
        ("../server.py", None, 404, "there is nothing under"),
    ],
)
def test_what_is_not_to_be_had_is_one_clear_text(ask: Ask, path: str, body: Any, status: int, told: str) -> None:
    found = ask(path, body)
    assert found[0] == status
    assert told in found[1]


def test_a_page_elsewhere_is_not_answered(ask: Ask) -> None:
    assert ask("api/run", host="evil.example")[0] == 421


def test_of_a_run_that_diverged_what_is_no_number_is_null(cloud: InProcessCloud, tmp_path: Path) -> None:
    """Its last epoch has weights that overflow on their way to an answer."""
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5", features=2), PARAMETERS | DIVERGES)
    assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
    run = cloud.run_to_end(upload.run_id)
    assert run.status == "FAILED"
    there = Cloud("aws")
    with serving(Inspection(there, there.find_run(upload.run_id))) as server:
        ask, epoch = asker(server), f"api/epoch/{run.epoch}"
        neuron = ask(f"{epoch}/neuron/2/1?example=0")
        what_if = {"example": 0, "off": [[1, 1]], "weights": []}
        others = [ask(path) for path in ("api/run", epoch, f"{epoch}/example/0", f"{epoch}/plane")]
        others.append(ask(f"{epoch}/what-if", what_if))
    assert (neuron["dw"], neuron["db"]) == ([None] * 4, None)
    assert [neuron["examples"][0][name] for name in ("z", "a", "dz")] == [None] * 3
    assert all(isinstance(answer, dict) for answer in others)


def test_a_fault_of_any_kind_is_one_clear_text(cloud: InProcessCloud, run_id: str) -> None:
    there = Cloud("aws")
    inspection = Inspection(there, there.find_run(run_id))
    inspection.epoch = lambda epoch: {"epoch": object()}  # type: ignore[assignment,method-assign]
    with serving(inspection) as server:
        status, told = asker(server)("api/epoch/1")
    assert status == 502
    assert "object is not JSON serializable" in told


def test_of_the_history_only_rows_that_are_new_are_read(cloud: InProcessCloud, tmp_path: Path) -> None:
    """Rows come in any order: one that is missing is asked for again, with those after it."""
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS | {"strategy": "neuron", "epochs": 9})
    assert cloud.launch(upload) == "launched"
    there = Cloud("aws")
    inspection = Inspection(there, there.find_run(upload.run_id))
    cloud.run_to_end(upload.run_id)
    rows = cloud.services.ledger.history(upload.run_id)
    whole = there.find_run(upload.run_id)
    asked: list[int] = []

    def look(epoch: int, stored: Sequence[int], after: int) -> tuple[int, list[int]]:
        def history(run_id: str, since: int = 0) -> list[EpochRow]:
            asked.append(since)
            return [row for row in rows if row.epoch in stored and row.epoch > since]

        there.ledger.history = history  # type: ignore[method-assign]
        there.find_run = lambda wanted: replace(whole, status="RUNNING", epoch=epoch)  # type: ignore[method-assign]
        found = inspection.overview(after)
        return found["complete_to"], [row["epoch"] for row in found["history"]]

    assert look(3, [1, 2, 3], 0) == (3, [1, 2, 3])
    assert look(3, [1, 2, 3], 3) == (3, [])
    assert look(6, [1, 2, 3, 4, 6], 3) == (4, [4, 6])
    assert look(6, [1, 2, 3, 4, 5, 6], 4) == (6, [5, 6])
    assert asked == [0, 3, 4]


def test_a_run_is_followed(cloud: InProcessCloud, tmp_path: Path) -> None:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS | {"strategy": "neuron", "epochs": 3})
    assert cloud.launch(upload) == "launched"
    there = Cloud("aws")
    inspection = Inspection(there, there.find_run(upload.run_id))
    assert (inspection.overview()["epoch"], inspection.epoch(0)["epoch"]) == (0, 0)
    cloud.run_to_end(upload.run_id)
    assert inspection.overview()["epochs_shown"] == [0, 1, 2, 3]
    assert inspection.epoch(3)["layers"][0]["weights"] is not None


@pytest.mark.parametrize(("last", "expected"), [(0, [0]), (1, [0, 1]), (5, [0, 1, 2, 3, 4, 5])])
def test_few_epochs_are_all_shown(last: int, expected: list[int]) -> None:
    assert epochs_shown(last, 60) == expected


def test_of_many_epochs_the_first_are_shown_and_the_last() -> None:
    shown = epochs_shown(300_000, 60)
    assert shown[:4] == [0, 1, 2, 3]
    assert shown[-1] == 300_000
    assert 40 < len(shown) <= 62
    assert epochs_shown(300_000, 0) == [0, 300_000]


def test_a_neuron_close_to_a_bound_is_saturated() -> None:
    assert saturated(np.array([[0.999, -0.995, 0.5]]), "tanh").tolist() == [2]
    assert saturated(np.array([[0.999, 0.001, 0.5]]), "sigmoid").tolist() == [2]
    assert saturated(np.array([[9.0, 0.0]]), "relu").tolist() == [0]


READS = {"s3": {"GetObject", "HeadObject", "ListObjectsV2"}, "dynamodb": {"GetItem", "Query", "Scan"}}
"""What looking at a run may ask AWS for: nothing that writes, and nothing inside the VPC."""


def test_looking_at_a_run_only_reads_the_bucket_and_the_tables(
    cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5", features=2), PARAMETERS | {"strategy": "neuron", "epochs": 2})
    assert cloud.launch(upload) == "launched"
    assert cloud.run_to_end(upload.run_id).status == "COMPLETED"
    asked: set[tuple[str, str]] = set()
    call = BaseClient._make_api_call

    def told(client: Any, operation: str, arguments: Any) -> Any:
        asked.add((client.meta.service_model.service_name, operation))
        return call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", told)
    there = Cloud("aws")
    run = there.find_run("latest")
    inspection = Inspection(there, run)
    with serving(inspection, Feed(there, run.run_id)) as server:
        ask = asker(server)
        ask("api/run")
        for path in ("", "/plane", "/neuron/1/3?example=0", "/example/0", "/invocations", "/neuron/1/3/invocations"):
            found = ask(f"api/epoch/1{path}")
            assert isinstance(found, dict), (path, found)
        ask("api/epoch/1/what-if", {"example": 0, "off": [[1, 2]], "weights": []})
        assert isinstance(ask("api/invocations/0"), dict)
    assert saved_view(inspection, now=0.0)
    asked.discard(("sts", "GetCallerIdentity"))  # which everybody may
    assert ("s3", "GetObject") in asked
    assert [one for one in sorted(asked) if one[1] not in READS.get(one[0], ())] == []
