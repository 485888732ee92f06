"""Next, as the page of ``lnn view`` asks for it: through its server, for a run that waits at each barrier."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from lnn.aws.invoker import Invoker
from lnn.messages import Message
from lnn_cli.ui.loopback import LOOPBACK
from lnn_cli.view.server import ViewServer
from lnn_client.cloud import Cloud
from lnn_client.inspection import Inspection
from support.aws_account import surroundings
from support.inprocess_cloud import InProcessCloud, tiny_dataset

__all__ = ["surroundings"]

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 2,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.5,
    "step": True,
}
Ask = Callable[..., Any]


@pytest.fixture
def served(cloud: InProcessCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Ask]]:
    """A run that waits after its first step, and what asks its server."""
    monkeypatch.setattr(Invoker, "invoke_trainer", lambda _, message: cloud.queue.messages.append(("trainer", message)))
    upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS)
    assert cloud.launch(upload) == "launched"
    settle(cloud)
    there = Cloud("aws")
    server = ViewServer(Inspection(there, there.find_run(upload.run_id)), 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def ask(path: str, body: Any = None, origin: str | None = None) -> Any:
        with closing(HTTPConnection(LOOPBACK, server.server_port, timeout=30)) as connection:
            headers = {} if origin is None else {"origin": origin.replace("PORT", str(server.server_port))}
            connection.request("GET" if body is None else "POST", f"/{path}", body and json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    yield upload.run_id, ask
    server.shutdown()
    thread.join()
    server.server_close()


def settle(cloud: InProcessCloud) -> None:
    while cloud.queue.messages:
        cloud.deliver(*cloud.queue.messages.pop(0))


def test_each_press_of_next_is_a_step_and_the_page_says_which(cloud: InProcessCloud, served: tuple[str, Ask]) -> None:
    _, ask = served
    said = []
    for allowed in range(6):
        overview = ask("api/run")[1]
        assert overview["step"]["allowed"] == allowed
        said.append(overview["step"]["waits"]["next"])
        assert ask("api/next", {"expected": allowed}) == (200, {"allowed": allowed + 1})
        settle(cloud)
    assert said == [
        *("layer 2 forward", "the cost", "layer 2 backward", "layer 1 backward"),
        "the end of epoch 1, and layer 1 forward of epoch 2",
        "layer 2 forward",
    ]
    assert overview["epoch"] == 1
    assert [row["epoch"] for row in overview["history"]] == [1]


def test_a_press_that_is_sent_twice_is_one_step(cloud: InProcessCloud, served: tuple[str, Ask]) -> None:
    run_id, ask = served
    assert ask("api/next", {"expected": 0}) == (200, {"allowed": 1})
    cloud.queue.messages.clear()  # the invocation is lost
    assert ask("api/next", {"expected": 0}) == (200, {"allowed": 1})
    assert cloud.queue.messages == [("trainer", Message(run_id, 1, "forward", 1, 0, 1))]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:PORT", "http://127.0.0.1:1"])
def test_a_page_elsewhere_presses_in_vain(cloud: InProcessCloud, served: tuple[str, Ask], origin: str) -> None:
    run_id, ask = served
    status, answer = ask("api/next", {"expected": 0}, origin=origin)
    assert (status, answer["error"]) == (403, "a page of another address may not ask for this")
    assert cloud.run(run_id).steps_allowed == 0


def test_the_page_itself_presses_with_its_own_origin(cloud: InProcessCloud, served: tuple[str, Ask]) -> None:
    run_id, ask = served
    assert ask("api/next", {"expected": 0}, origin="http://127.0.0.1:PORT")[0] == 200
    assert cloud.run(run_id).steps_allowed == 1


@pytest.mark.parametrize("body", [{}, [], {"expected": "1"}, {"expected": True}])
def test_a_press_without_a_number_is_refused(served: tuple[str, Ask], body: Any) -> None:
    status, answer = served[1]("api/next", body or {"other": 1})
    assert (status, answer["error"].startswith("next: expected the number of steps allowed")) == (422, True)


def test_a_run_that_has_ended_takes_no_step(cloud: InProcessCloud, served: tuple[str, Ask]) -> None:
    _, ask = served
    for expected in range(10):
        ask("api/next", {"expected": expected})
        settle(cloud)
    overview = ask("api/run")[1]
    assert (overview["status"], overview["step"]["waits"]) == ("COMPLETED", None)
    status, answer = ask("api/next", {"expected": 10})
    assert (status, "it is COMPLETED" in answer["error"]) == (422, True)
