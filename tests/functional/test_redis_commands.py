"""What a step really asks of Redis is what the cost model prices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from redis.connection import Connection

from lnn.planning.cost_model import EXCHANGE_COMMANDS, PART_COMMANDS
from lnn.strategies.data_parallel.costs import exchanges_of_an_update
from lnn.strategies.neuron.costs import neuron_round_trips, update_round_trips
from support.inprocess_cloud import InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

OF_AN_EXCHANGE = {"set", "rpush", "expire", "blpop", "get", "unlink"}


def parameters(**changes: Any) -> dict[str, Any]:
    return {
        "epochs": 3,
        "layers": 3,
        "neurons": {"layer1": 3, "layer2": 2, "layer3": 1},
        "activations": {"layer1": "relu", "layer2": "relu", "layer3": "sigmoid"},
        "learning_rate": 0.1,
        **changes,
    }


def calls(client: redis.Redis) -> int:
    """Commands of exchanges that the server has carried out so far."""
    stats: Any = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in OF_AN_EXCHANGE)


def commands_of(cloud: InProcessCloud, tmp_path: Path, **changes: Any) -> int:
    """Commands of exchanges, and as many others in every run, that a whole run takes."""
    upload = cloud.upload(tiny_dataset(tmp_path / "made.h5"), parameters(**changes))
    before = calls(cloud.redis)
    assert cloud.launch(upload) == "launched"
    assert cloud.run_to_end(upload.run_id).status == "COMPLETED"
    return calls(cloud.redis) - before


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize(("strategy", "workers"), [("resident", 2), ("resident", 3), ("data", 2), ("data", 3)])
def test_an_update_of_workers_takes_as_many_commands_as_the_cost_model_prices(
    cloud: InProcessCloud,
    tmp_path: Path,
    strategy: str,
    workers: int,
    clip_norm: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for period in ("HEARTBEAT_SECONDS", "HEARTBEAT_INTERVAL_SECONDS"):  # one sign of life, however long the run takes
        monkeypatch.setattr(f"lnn.parameter_server.heartbeat.{period}", 1000)
    changes: dict[str, Any] = {"strategy": strategy, "workers": workers, "record_every": 100, "clip_norm": clip_norm}
    few, more = (commands_of(cloud, tmp_path, **changes, epochs=epochs) for epochs in (2, 12))
    exchanges = 1 if strategy == "resident" else exchanges_of_an_update(workers)
    if clip_norm is not None and (strategy, workers) != ("data", 2):  # two workers have the whole gradient each
        exchanges += 1
    commands = EXCHANGE_COMMANDS + (workers - 1) * PART_COMMANDS
    assert (more - few) / 10 == exchanges * workers * commands


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_a_neuron_waits_for_redis_as_often_as_the_cost_model_says(
    cloud: InProcessCloud, tmp_path: Path, clip_norm: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    send = Connection.send_packed_command

    def counted(connection: Any, command: Any, check_health: bool = True) -> None:
        sent.append(1)
        send(connection, command, check_health)

    upload = cloud.upload(tiny_dataset(tmp_path / "made.h5"), parameters(strategy="neuron", clip_norm=clip_norm))
    assert cloud.launch(upload) == "launched"
    found: dict[tuple[str, int], set[int]] = {}
    with monkeypatch.context() as counting:
        counting.setattr(Connection, "send_packed_command", counted)
        while cloud.queue.messages:
            function, message = cloud.queue.messages.pop(0)
            sent.clear()
            cloud.deliver(function, message)
            if function == "neuron" and message.epoch > 1:  # the environment has its plan, examples and scripts
                found.setdefault((message.state, message.layer), set()).add(len(sent))
    assert cloud.run(upload.run_id).status == "COMPLETED"
    layers = 3
    expected = {}
    for layer in range(1, layers + 1):
        forward, backward = neuron_round_trips(first=layer == 1, last=layer == layers)
        expected |= {("forward", layer): {forward}, ("backward", layer): {backward}}
        if clip_norm is not None:
            expected["update", layer] = {update_round_trips(first=layer == 1)}
    assert found == expected
