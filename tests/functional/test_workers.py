"""Workers that stay: hand-over, faults of one of them, and decisions that all take alike."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from lnn.errors import PeerLeft, ProcessGroupBroken, WorkersMissing
from lnn.messages import Message
from lnn.parameter_server import process_group
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.resp import RespConnection
from lnn.runs.finalize import end_without_model
from lnn.runs.stopping import Ending
from lnn.strategies import worker
from support.e2e_cloud import eventually
from support.inprocess_cloud import Chaos, InProcessCloud, tiny_dataset

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS: dict[str, Any] = {
    "epochs": 8,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "optimizer": "momentum",
    "batch_size": 5,
    "l2": 0.1,
    "workers": 3,
}
STRATEGIES = ["resident", "data"]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing worker is missed within a second."""
    monkeypatch.setattr(process_group, "BLOCK_SECONDS", 0.1)
    monkeypatch.setattr(process_group, "JOIN_SECONDS", 1.0)
    monkeypatch.setattr(process_group, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(process_group, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def launch(cloud: InProcessCloud, tmp_path: Path) -> Callable[..., str]:
    """Uploads a small job and launches it; returns the run's id."""

    def start(strategy: str, **changes: Any) -> str:
        upload = cloud.upload(tiny_dataset(tmp_path / "d.h5"), {**PARAMETERS, "strategy": strategy, **changes})
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        return upload.run_id

    return start


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_hand_over_before_the_time_is_up_changes_nothing(
    strategy: str, cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    undisturbed = cloud.run_to_end(launch(strategy, batch_size=None))
    run_id = launch(strategy, batch_size=None)
    cloud.invocation_seconds = 0.9  # less than is kept for handing over: an epoch for each generation
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 8)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    assert undisturbed.invocations == 1 + 1 + 3, "Launch, Trainer, and a Neuron for each worker"
    assert run.invocations == 1 + 8 * (1 + 3)
    assert cloud.keys() == []


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("seed", range(3))
def test_messages_that_are_doubled_late_or_lost_change_nothing(
    strategy: str, seed: int, cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    undisturbed = cloud.run_to_end(launch(strategy))
    run_id = launch(strategy)
    run = cloud.run_to_end(run_id, Chaos(seed, duplicate=0.5, late=0.3, lost=0.1))
    assert run.status == "COMPLETED", run
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("lost", ["request", "every answer", "some answers"])
def test_lost_answers_of_redis_cost_no_generation(
    strategy: str, lost: str, cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = cloud.run_to_end(launch(strategy))
    chance = random.Random(5)  # noqa: S311 (a seed)
    send, read = RespConnection.send, RespConnection.read
    losses: list[str] = []

    def sending(self: RespConnection, commands: list[tuple[Any, ...]]) -> None:
        loses = chance.random() < 0.2
        self.answers_left = -1  # type: ignore[attr-defined]
        if loses:
            losses.append(lost)
            if lost == "request":
                raise BrokenPipeError("lost, for a test")
            self.answers_left = 0 if lost == "every answer" else chance.randrange(len(commands))  # type: ignore[attr-defined]
        send(self, commands)

    def reading(self: RespConnection) -> Any:
        if not self.answers_left:  # type: ignore[attr-defined]
            raise TimeoutError("lost, for a test")
        answer = read(self)
        self.answers_left -= 1  # type: ignore[attr-defined]
        return answer

    run_id = launch(strategy)
    monkeypatch.setattr(RespConnection, "send", sending)
    monkeypatch.setattr(RespConnection, "read", reading)
    run = cloud.run_to_end(run_id)
    assert len(losses) > 5
    assert (run.status, run.generation) == ("COMPLETED", 1)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    assert cloud.keys() == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("rank", [0, 2])
def test_the_run_survives_a_worker_that_dies(
    strategy: str, rank: int, cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = cloud.run_to_end(launch(strategy))
    run_id = launch(strategy, checkpoint_seconds=1e-6)
    alive = ProcessGroup.exchange

    def die(self: ProcessGroup, *given: Any) -> Any:
        if self.rank == rank and self._number == 9 and self._claim.startswith("1-"):
            raise SystemExit  # as if killed: it says good-bye to nobody
        return alive(self, *given)

    monkeypatch.setattr(ProcessGroup, "exchange", die)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("COMPLETED", 2)
    assert cloud.outcome(run_id) == cloud.outcome(undisturbed.run_id)
    assert cloud.keys() == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_run_whose_workers_always_fail_ends_with_where_to_look(
    strategy: str, cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(worker.Workers, "meet", fail)
    run = cloud.run_to_end(launch(strategy))
    assert run.status == "FAILED"
    assert "the last: worker" in run.reason
    assert "ValueError: no such thing" in run.reason
    assert "logs say more" in run.reason
    assert cloud.keys() == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_worker_stops_at_the_same_epoch(strategy: str, cloud: InProcessCloud, launch: Callable[..., str]) -> None:
    run_id = launch(strategy, epochs=1_000_000, record_every=1000, max_seconds=0.5)
    run = cloud.run_to_end(run_id)
    assert (run.status, run.generation) == ("STOPPED", 1)
    assert run.reason.startswith("max_seconds: ")
    assert f"after epoch {run.epoch};" in run.reason
    assert cloud.services.ledger.history(run_id)[-1].epoch == run.epoch


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_worker_tells_what_it_spent_computing_and_waiting(
    strategy: str, cloud: InProcessCloud, launch: Callable[..., str]
) -> None:
    run_id = launch(strategy)
    began = time.perf_counter()
    run = cloud.run_to_end(run_id)
    elapsed = time.perf_counter() - began
    assert len(run.worker_seconds) == 3
    for seconds in run.worker_seconds:
        assert seconds["computing"] > 0
        assert seconds["waiting"] > 0
        assert seconds["computing"] + seconds["waiting"] < elapsed


def test_a_place_is_taken_once(cloud: InProcessCloud, launch: Callable[..., str]) -> None:
    run_id = launch("resident", workers=1)
    cloud.queue.messages.clear()
    cloud.services.ledger.claim(run_id, 1, "the test")
    message = Message(run_id, 1, "start", neuron=0)
    assert worker.work(cloud.services, message, lambda: 900.0) == "done"
    assert worker.work(cloud.services, message, lambda: 900.0) == "stale", "the run has ended"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("after", ["another generation", "another claim", "the end"])
def test_a_worker_waits_for_nobody_once_its_claim_is_not_the_latest(
    after: str, strategy: str, cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_group, "JOIN_SECONDS", 600.0)
    run_id = launch(strategy)
    cloud.queue.messages.clear()
    ledger = cloud.services.ledger
    assert ledger.claim(run_id, 1, "the first")
    outcomes: list[str] = []
    waiting = [
        threading.Thread(
            target=lambda rank=rank: outcomes.append(
                worker.work(cloud.services, Message(run_id, 1, "start", neuron=rank), lambda: 900.0)
            )
        )
        for rank in (1, 2)
    ]
    for thread in waiting:
        thread.start()
    called = ("neuron", Message(run_id, 1, "start", neuron=0))
    eventually(lambda: called in cloud.queue.messages, "a call for worker 0", 30.0)
    eventually(lambda: len(list(cloud.redis.scan_iter("*:gang:1-the firs:?"))) == 2, "two places taken", 30.0)
    assert all(thread.is_alive() for thread in waiting), "worker 0 may come yet"
    cloud.queue.messages.clear()
    if after == "another claim":
        ledger.release(run_id, 1, "given back")
        assert ledger.claim(run_id, 1, "the second")
    else:
        ledger.give_up(run_id, 1, "the test")
        assert ledger.claim(run_id, 2, "the second")
    if after == "the end":
        end_without_model(cloud.services, run_id, 2, Ending("FAILED", "the test"))
    for thread in waiting:
        thread.join(30.0)
    assert outcomes == ["superseded"] * 2
    assert not [message for message in cloud.queue.messages if message[0] == "trainer"], "no generation is asked for"
    if after == "the end":
        assert cloud.keys() == []


def test_a_worker_that_waits_looks_at_the_run_often_and_calls_ever_more_rarely(
    cloud: InProcessCloud, launch: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = launch("resident")
    run = cloud.services.ledger.claim(run_id, 1, "the test")
    assert run is not None
    crew = worker.Workers(cloud.services, run, ProcessGroup(cloud.services.server(run_id), run.claim, 1, 3))
    clock, looks, calls = [100.0], list[float](), list[float]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    read = cloud.services.ledger.get_run
    monkeypatch.setattr(type(cloud.services.ledger), "get_run", lambda _, of: (looks.append(clock[0]), read(of))[1])
    monkeypatch.setattr(
        type(cloud.services.invoker), "invoke_neurons", lambda _, messages: calls.extend(clock[0] for _ in messages)
    )
    for _ in range(30):
        crew._look([0, 2])
        clock[0] += process_group.BLOCK_SECONDS * 20  # two seconds outside this test
    assert looks == [100.0 + 2 * look for look in range(30)]
    assert calls == [100.0 + after for after in (0, 2, 6, 14, 30) for _ in (0, 2)]


class TestProcessGroup:
    """The exchange itself, three workers in threads."""

    def members(self, cloud: InProcessCloud) -> list[ProcessGroup]:
        return [ProcessGroup(cloud.services.server("run"), "1-a", rank, 3) for rank in range(3)]

    def all_do(self, members: list[ProcessGroup], what: Callable[[ProcessGroup], Any]) -> list[Any]:
        results: list[Any] = [None] * len(members)

        def one(rank: int) -> None:
            try:
                results[rank] = what(members[rank])
            except ProcessGroupBroken as broken:
                results[rank] = broken

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(len(members))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def test_each_gets_what_every_other_gave_it(self, cloud: InProcessCloud) -> None:
        members = self.members(cloud)
        for turn in range(5):
            received = self.all_do(
                members, lambda m, turn=turn: m.exchange([f"{m.rank}>{to}@{turn}".encode() for to in range(3)])
            )
            for rank in range(3):
                assert [bytes(part).decode() for part in received[rank]] == [f"{of}>{rank}@{turn}" for of in range(3)]
        last = {m._part_key(m.rank, peer, m._number).encode() for m in members for peer in m.peers}
        assert set(cloud.keys()) == last, "inboxes that have been emptied are gone, and parts of earlier exchanges"

    def test_what_one_wants_all_agree_on(self, cloud: InProcessCloud) -> None:
        members = self.members(cloud)
        members[1].request = process_group.Flag.HAND_OVER
        members[2].request = process_group.Flag.CHECKPOINT
        self.all_do(members, lambda m: m.all_gather(b""))
        assert {m.agreed for m in members} == {process_group.Flag.HAND_OVER | process_group.Flag.CHECKPOINT}

    def test_a_note_sent_twice_counts_once(self, cloud: InProcessCloud) -> None:
        members = self.members(cloud)
        self.all_do(members, lambda m: m.all_gather(b"first"))
        cloud.redis.rpush(members[0]._inbox_key(0, 1), process_group.NOTE.pack(1, 0))
        received = self.all_do(members, lambda m: m.all_gather(f"second {m.rank}".encode()))
        assert [bytes(part) for part in received[0]] == [b"second 0", b"second 1", b"second 2"]

    def test_a_part_whose_note_comes_later_counts(self, cloud: InProcessCloud) -> None:
        waiting, peer = (ProcessGroup(cloud.services.server("run"), "1-a", rank, 2) for rank in range(2))
        peer._number = 1
        cloud.redis.set(peer._part_key(0, 1, 1), b"early" + bytes([process_group.Flag.STOP]))
        assert [bytes(part) for part in waiting.all_gather(b"own")] == [b"own", b"early"]
        assert waiting.agreed == process_group.Flag.STOP
        cloud.redis.rpush(peer._inbox_key(0, 1), process_group.NOTE.pack(1, 0))
        received = self.all_do([waiting, peer], lambda m: m.all_gather(f"second {m.rank}".encode()))
        assert [bytes(part) for part in received[0]] == [b"second 0", b"second 1"]
        assert cloud.redis.llen(peer._inbox_key(0, 1)) == 0, "the late note has gone, too"

    @pytest.mark.parametrize("late", ["SET", "RPUSH", "BLPOP", "GET", "UNLINK"])
    def test_a_command_that_arrives_again_later_changes_nothing(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch, late: str
    ) -> None:
        members = self.members(cloud)[:2]
        for member in members:
            member.size, member.peers = 2, [1 - member.rank]
        sent: list[tuple[Any, ...]] = []
        send = RespConnection.send

        def keep(self: RespConnection, commands: list[tuple[Any, ...]]) -> None:
            sent.extend(command for command in commands if command[0] == late)
            send(self, commands)

        monkeypatch.setattr(RespConnection, "send", keep)
        for turn in range(2):
            self.all_do(members, lambda m, turn=turn: m.all_gather(f"{turn} of {m.rank}".encode()))
        members[1].request = process_group.Flag.CHECKPOINT
        for turn in range(2, 5):
            again, sent[:] = list(sent), []
            arrivals = [threading.Thread(target=self.repeat, args=(cloud, command)) for command in again]
            for arrival in arrivals:
                arrival.start()
            received = self.all_do(members, lambda m, turn=turn: m.all_gather(f"{turn} of {m.rank}".encode()))
            for parts in received:
                assert [bytes(part).decode() for part in parts] == [f"{turn} of 0", f"{turn} of 1"]
            assert {member.agreed for member in members} == {process_group.Flag.CHECKPOINT}
            for arrival in arrivals:
                arrival.join()
        assert sent, "nothing came again"

    def test_a_part_that_arrives_again_later_does_not_stay(self, cloud: InProcessCloud) -> None:
        members = self.members(cloud)
        self.all_do(members, lambda m: m.all_gather(b"first"))
        again = members[0]._push(1, b"first", process_group.Flag(0))
        self.all_do(members, lambda m: m.all_gather(b"second"))
        for command in again:
            self.repeat(cloud, command)
        for _ in range(2):
            received = self.all_do(members, lambda m: m.all_gather(b"later"))
            assert [bytes(part) for part in received[1]] == [b"later"] * 3
        assert not cloud.redis.exists(str(again[0][1]))

    def test_a_connection_that_cannot_be_made_for_a_moment_is_tried_again(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        members = self.members(cloud)
        self.all_do(members, lambda m: m.all_gather(b"first"))
        members[0]._disconnect()
        connects = cloud.redis.connection_pool.get_connection
        refusals = [redis.exceptions.ConnectionError("refused"), redis.exceptions.BusyLoadingError("loading")]

        def connecting() -> Any:
            if refusals:
                raise refusals.pop()
            return connects()

        monkeypatch.setattr(members[0]._client.connection_pool, "get_connection", connecting)
        received = self.all_do(members, lambda m: m.all_gather(f"second {m.rank}".encode()))
        assert [bytes(part) for part in received[0]] == [b"second 0", b"second 1", b"second 2"]
        assert not refusals

    def test_a_worker_that_has_left_is_known_where_another_answer_is_lost(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        members = self.members(cloud)
        self.all_do(members, lambda m: m.all_gather(b"first"))
        members[1].leave()
        read, left = RespConnection.read, [11]  # UNLINK, thrice two pushes, BLPOP with its two items, GET

        def reading(self: RespConnection) -> Any:
            if not left[0]:
                raise TimeoutError("lost, for a test")
            left[0] -= 1
            return read(self)

        monkeypatch.setattr(RespConnection, "read", reading)
        with pytest.raises(PeerLeft):
            members[0].all_gather(b"second")

    @staticmethod
    def repeat(cloud: InProcessCloud, command: tuple[Any, ...]) -> None:
        flat = [b"".join(argument) if isinstance(argument, tuple) else argument for argument in command]
        cloud.redis.execute_command(*flat)

    def test_a_note_without_its_part_breaks_the_group(self, cloud: InProcessCloud) -> None:
        members = self.members(cloud)
        cloud.redis.rpush(members[0]._inbox_key(0, 1), process_group.NOTE.pack(1, 0))
        with pytest.raises(ProcessGroupBroken, match="the part of worker 1 for exchange 1 was lost"):
            members[0].all_gather(b"")

    def test_who_waits_in_vain_says_for_whom(self, cloud: InProcessCloud) -> None:
        members = self.members(cloud)
        results = self.all_do(members[:2], lambda m: m.all_gather(b""))
        assert [repr(result) for result in results] == [
            "WorkersMissing('only 2 of 3 workers took their places')" for _ in range(2)
        ]

    def test_who_waits_for_many_looks_after_them_as_often_as_after_one(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits: list[list[float]] = []
        send = RespConnection.send

        def sending(self: RespConnection, commands: list[tuple[Any, ...]]) -> None:
            waits.append([float(command[2]) for command in commands if command[0] == "BLPOP"])
            send(self, commands)

        monkeypatch.setattr(RespConnection, "send", sending)
        looks: list[Sequence[int]] = []
        with pytest.raises(WorkersMissing, match="only 1 of 9"):
            ProcessGroup(cloud.services.server("run"), "1-a", 0, 9).rendezvous(looks.append)
        assert looks == [list(range(1, 9))] * len(waits)
        assert [sum(wait) for wait in waits] == pytest.approx([process_group.BLOCK_SECONDS] * len(waits))

    def test_who_leaves_is_not_waited_for(self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process_group, "JOIN_SECONDS", 600.0)
        members = self.members(cloud)
        members[2].leave()
        results = self.all_do(members[:2], lambda m: m.all_gather(b""))
        assert {str(result) for result in results} == {"worker 2 has left"}

    @pytest.mark.parametrize("later", ["2-b", "1-b"])
    def test_a_claim_has_inboxes_of_its_own(self, cloud: InProcessCloud, later: str) -> None:
        old, new = (ProcessGroup(cloud.services.server("run"), claim, 0, 2) for claim in ("1-a", later))
        peer = ProcessGroup(cloud.services.server("run"), "1-a", 1, 2)
        self.all_do([old, peer], lambda m: m.all_gather(b"old"))
        cloud.redis.rpush(old._inbox_key(0, 1), process_group.NOTE.pack(1, 0))
        with pytest.raises(WorkersMissing, match="only 1 of 2"):
            new.all_gather(b"new")

    def test_only_worker_0_waits_to_gather(self, cloud: InProcessCloud) -> None:
        members = self.members(cloud)
        assert members[2].gather(b"two")[2] == b"two"
        assert members[1].gather(b"one")[0] == b""
        assert [bytes(part) for part in members[0].gather(b"zero")] == [b"zero", b"one", b"two"]

    def test_one_worker_alone_needs_no_redis(self) -> None:
        class Server:
            client = None

        alone = ProcessGroup(Server(), "1-a", 0, 1)  # type: ignore[arg-type]
        alone.request = process_group.Flag.STOP
        assert alone.all_gather(b"mine") == [b"mine"]
        assert alone.agreed == process_group.Flag.STOP

    def test_a_peer_that_dies_is_missed_long_before_patience_runs_out(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process_group, "PATIENCE_SECONDS", 600.0)
        members = self.members(cloud)[:2]
        for member in members:
            member.size, member.peers = 2, [1 - member.rank]
        with members[0].heartbeat():
            with members[1].heartbeat():
                self.all_do(members, lambda m: m.all_gather(b""))
            with pytest.raises(ProcessGroupBroken, match="worker 1 has died before exchange 2"):
                members[0].all_gather(b"")

    def test_a_peer_that_dies_as_soon_as_it_has_taken_its_place_is_missed(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process_group, "JOIN_SECONDS", 600.0)
        members = self.members(cloud)[:2]
        members[0].size, members[0].peers = 2, [1]
        assert all(member.join("somebody") for member in members)
        called: list[int] = []
        with pytest.raises(ProcessGroupBroken, match="worker 1 has died before exchange 1"):
            members[0].rendezvous(called.extend)
        assert called == []

    def test_a_peer_that_is_slow_but_alive_is_waited_for(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process_group, "PATIENCE_SECONDS", 600.0)
        members = self.members(cloud)
        with members[0].heartbeat(), members[1].heartbeat(), members[2].heartbeat():
            self.all_do(members, lambda m: m.all_gather(b""))
            late = threading.Timer(1.0, members[2].all_gather, [b"late"])
            late.start()
            received = self.all_do(members[:2], lambda m: m.all_gather(b"early"))
            late.join()
        assert [bytes(parts[2]) for parts in received] == [b"late", b"late"]

    def test_a_worker_whose_message_was_lost_is_called_again(
        self, cloud: InProcessCloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process_group, "JOIN_SECONDS", 600.0)
        members = self.members(cloud)
        called: dict[int, threading.Thread] = {}

        def call(ranks: Sequence[int]) -> None:
            for rank in set(ranks) - called.keys():
                called[rank] = threading.Thread(target=members[rank].all_gather, args=[b""])
                called[rank].start()

        members[0].rendezvous(call)
        assert called.keys() == {1, 2}
        for thread in called.values():
            thread.join()
