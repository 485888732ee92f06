"""The protocol as a state machine: whatever comes, in whatever order, the run ends with the bits it would have had.

Hypothesis delivers messages in any order, again and late, kills invocations between any two effects, lets leases
expire, wipes Redis, stops and resumes; the real Trainer and Neuron code runs against a real Redis.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import boto3
import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from moto import mock_aws

from lnn.errors import RunStateError
from lnn.messages import Message
from lnn.parameter_server import barrier
from lnn.parameter_server.barrier import Barrier
from support.crashes import POINTS, killed
from support.inprocess_cloud import InProcessCloud, tiny_dataset

PARAMETERS: dict[str, Any] = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 3, "layer2": 1},
    "activations": {"layer1": "tanh", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "optimizer": "momentum",
    "batch_size": 7,
    "checkpoint_seconds": 1e-6,
    "strategy": "neuron",
}
EXAMPLES = int(os.environ.get("LNN_MODEL_EXAMPLES", "8"))
"""More find more; a failing one is not shrunk, since that takes minutes."""

GOING = {"PENDING", "RUNNING"}


class Protocol(RuleBasedStateMachine):
    """One run of strategy ``neuron``, disturbed."""

    redis: ClassVar[redis.Redis]
    session: ClassVar[boto3.Session]
    dataset: ClassVar[bytes]
    expected: ClassVar[Any] = None

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        self._aws = mock_aws()
        self._aws.start()
        self.cloud = InProcessCloud(self.redis, self.session)
        if type(self).expected is None:
            type(self).expected = self.cloud.outcome(self.cloud.run_to_end(self._launch()).run_id)
        self.run_id = self._launch()
        self.delivered: list[tuple[str, Message]] = []
        self.farthest = (0, 0, 0)
        self.generation = 0
        self.claim = ""
        self.wiped = False

    def _launch(self) -> str:
        upload = self.cloud.upload(self.dataset, PARAMETERS)
        assert self.cloud.launch(upload) == "launched"
        return upload.run_id

    def teardown(self) -> None:
        try:
            run = self.cloud.run_to_end(self.run_id)
            if run.status == "STOPPED":
                self.resume()
                run = self.cloud.run_to_end(self.run_id)
            assert run.status == "COMPLETED", run
            assert self.cloud.outcome(self.run_id) == self.expected
            assert not self.cloud.keys()
        finally:
            self._aws.stop()

    # What may happen

    @precondition(lambda self: self.cloud.queue.messages)
    @rule(choice=st.integers(0, 10**6))
    def deliver(self, choice: int) -> None:
        self._deliver(*self._take(choice))

    @precondition(lambda self: self.cloud.queue.messages)
    @rule(
        choice=st.integers(0, 10**6), point=st.sampled_from(sorted(POINTS)), after=st.booleans(), nth=st.integers(1, 3)
    )
    def deliver_and_kill(self, choice: int, point: str, after: bool, nth: int) -> None:
        function, message = self._take(choice)
        with killed(point, after, nth):
            self._deliver(function, message)
            return
        # Lambda repeats what has failed; the test may deliver it at any time, or never.
        self.cloud.queue.messages.append((function, message))

    @precondition(lambda self: self.delivered)
    @rule(choice=st.integers(0, 10**6))
    def deliver_again(self, choice: int) -> None:
        self._deliver(*self.delivered[choice % len(self.delivered)])

    @precondition(lambda self: self.cloud.queue.messages)
    @rule(choice=st.integers(0, 10**6))
    def lose(self, choice: int) -> None:
        self._take(choice)

    @rule()
    def lease_runs_out(self) -> None:
        if self.cloud.run(self.run_id).status in GOING:
            self.cloud.let_leases_expire(self.run_id)

    @rule()
    def watch(self) -> None:
        self._deliver("trainer", Message("", 0, "watch"))

    @rule(ahead=st.integers(-1, 2))
    def a_start_from_nowhere(self, ahead: int) -> None:
        generation = max(0, self.cloud.run(self.run_id).generation + ahead)
        self._deliver("trainer", Message(self.run_id, generation, "start"))

    @rule()
    def redis_loses_everything(self) -> None:
        self.redis.flushall()
        self.wiped = True

    @rule()
    def stop(self) -> None:
        if self.cloud.run(self.run_id).status in GOING:
            self.cloud.services.ledger.request_stop(self.run_id)

    @rule()
    def resume(self) -> None:
        try:
            generation = self.cloud.services.ledger.reopen(self.run_id)
        except RunStateError:
            return
        self.cloud.queue.invoke_trainer(Message(self.run_id, generation, "start"))

    # What must hold

    @invariant()
    def a_run_never_fails(self) -> None:
        assert self.cloud.run(self.run_id).status != "FAILED", self.cloud.run(self.run_id).reason

    @invariant()
    def the_history_is_a_beginning_of_the_undisturbed_one(self) -> None:
        rows = self.cloud.services.ledger.history(self.run_id)
        found = [(row.epoch, row.cost, row.train_accuracy, row.test_accuracy) for row in rows]
        assert found == self.expected[1][: len(found)]

    @invariant()
    def generations_and_progress_never_go_back(self) -> None:
        run = self.cloud.run(self.run_id)
        generation = run.generation
        assert generation >= self.generation
        position = Barrier(self.cloud.services.server(self.run_id)).position()
        if position is not None:
            assert position.step.generation <= generation
            assert position.arrived <= position.width
            step = position.step
            depth = step.layer if step.direction == "forward" else 10 - step.layer
            here = (step.epoch, step.batch, depth)
            # A generation that was given up may be claimed again, and begins again at the checkpoint.
            if run.claim == self.claim and not self.wiped and step.epoch:
                assert here >= self.farthest
            self.farthest = here
        self.generation, self.claim, self.wiped = generation, run.claim, False

    # Mechanics

    def _take(self, choice: int) -> tuple[str, Message]:
        messages = self.cloud.queue.messages
        taken = messages.pop(choice % len(messages))
        self.delivered.append(taken)
        return taken

    def _deliver(self, function: str, message: Message) -> None:
        self.cloud.deliver(function, message)


@pytest.mark.timeout(600)
def test_no_order_of_events_changes_what_a_run_leads_to(
    client: redis.Redis, aws: boto3.Session, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barrier, "DISPATCH_SECONDS", 0.0)
    monkeypatch.setattr("lnn.train.ATTEMPTS_WITHOUT_PROGRESS", 10_000)
    monkeypatch.setattr("lnn.strategies.neuron.layout.BUDGET_ALLOWANCE", 10_000)
    Protocol.redis, Protocol.session, Protocol.dataset = client, aws, tiny_dataset(tmp_path / "datasets.h5")
    Protocol.expected = None
    machine = Protocol.TestCase
    machine.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    machine().runTest()
