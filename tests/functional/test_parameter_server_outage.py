"""Redis goes away, or forgets: runs wait for it, and notice at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lnn import train
from lnn.parameter_server.server import ParameterServer
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
}


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    """Uploads a small job and launches it; returns the run's id."""

    def start(strategy: str) -> str:
        upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), PARAMETERS | {"strategy": strategy})
        assert cloud.launch(upload) == "launched"
        return upload.run_id

    return start


@pytest.mark.parametrize("strategy", ["neuron", "resident", "data"])
def test_a_start_waits_for_a_redis_that_takes_no_writes(
    strategy: str, cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False] * 10)
    takes_writes = ParameterServer.takes_writes
    monkeypatch.setattr(train, "PROBE_SECONDS", 0.01)
    takes = lambda self: next(answers, None) is None and takes_writes(self)  # noqa: E731
    monkeypatch.setattr(ParameterServer, "takes_writes", takes)
    run = cloud.run_to_end(launch(strategy))
    assert next(answers, None) is None
    assert (run.status, run.generation, run.attempts["count"]) == ("COMPLETED", 1, 1)
    assert cloud.keys() == []


def test_a_redis_that_is_full_takes_no_writes(cloud: InProcessCloud) -> None:
    server = cloud.services.server("run")
    assert server.takes_writes()
    cloud.redis.config_set("maxmemory", 1)
    try:
        assert not server.takes_writes()
    finally:
        cloud.redis.config_set("maxmemory", 0)


@pytest.mark.parametrize("delivered", [2, 3, 7, 11])
def test_neurons_that_find_an_emptied_redis_start_the_next_generation_at_once(
    delivered: int, cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    undisturbed = cloud.run_to_end(launch("neuron"))
    run_id = launch("neuron")
    for _ in range(delivered):
        cloud.deliver(*cloud.queue.messages.pop(0))
    cloud.redis.flushall()
    while cloud.queue.messages:  # no watch comes to help
        cloud.deliver(*cloud.queue.messages.pop(0))
    run = cloud.run(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
