"""``fused``: the whole run inside one Trainer invocation, handed over before its time is up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from lnn.artifacts import Checkpoint
from lnn.ending import Ending, Totals, diverged, end_with_model, end_without_model, ending_after
from lnn.events import Message
from lnn.ledger import EpochRow
from lnn.network import take_examples
from lnn.plan import Plan
from lnn.prices import lambda_usd
from lnn.reporting import Reporter
from lnn.services import Services
from lnn.training_data import TrainingData, training_data

logger = logging.getLogger(__name__)

HANDOVER_SECONDS = 1.0
"""Time kept for storing a checkpoint and invoking the successor, beside what the last ones took."""


def train(services: Services, run: Mapping[str, Any], plan: Plan, remaining: Callable[[], float]) -> None:
    """Train from the run's checkpoint until it ends, or until the invocation's time is nearly up.

    ``remaining()`` is the seconds this invocation has left.
    """
    run_id, generation = str(run["run_id"]), int(run["generation"])
    data = training_data(services.artifacts, run_id, plan)
    saved = run["checkpoint"]
    state = services.artifacts.get_checkpoint(saved["key"], saved["epoch"])
    begun = time.time()
    if run.get("training_started_at") is None:
        run = services.ledger.renew(run_id, generation, training_started_at=begun)
    started, usd_before = float(run["training_started_at"]), float(run.get("usd", 0.0))
    checkpointed, longest, cost = begun, 0.0, None
    ending = Ending("STOPPED", f"stopped on request after epoch {state.epoch}") if run.get("stop_requested") else None

    with Reporter(services.ledger, services.notifier, run, plan) as reporter:
        for epoch in range(state.epoch + 1, plan.epochs + 1):
            if ending is not None or reporter.stale:
                break
            at = time.time()
            cost, correct = train_epoch(plan, state, data, epoch)
            now = time.time()
            ending = diverged(epoch, cost, plan)
            if ending is not None:
                break
            state = Checkpoint(epoch, state.parameters, state.slots)
            longest = max(longest, now - at)
            totals = Totals(
                seconds=now - started,
                epoch_seconds=now - at,
                usd=usd_before + services.usd(now - begun, 0),
                epoch_usd=services.usd(now - at, 0),
            )
            ending = ending_after(plan, epoch, cost, totals, reporter.stop_requested)
            row = None
            if plan.recorded(epoch) or ending is not None:
                test_accuracy = plan.network.accuracy(state.parameters, data.X_test, data.y_test)
                row = EpochRow(epoch, cost, correct / plan.examples, test_accuracy, now - at)
            reporter.epoch_done(epoch, cost, row)
            if ending is None and remaining() < HANDOVER_SECONDS + 3 * longest:
                break
            if ending is None and now - checkpointed >= plan.checkpoint_seconds:
                save(services, run_id, generation, state)
                checkpointed = time.time()
        ended_at = time.time()

    if reporter.stale:
        logger.warning("superseded", extra={"run_id": run_id, "generation": generation})
        return
    usd = usd_before + services.usd(ended_at - begun, 1)
    if ending is None:
        hand_over(services, run_id, generation, state, usd)
    elif ending.status == "FAILED":
        end_without_model(services, run_id, generation, ending, usd=usd, training_ended_at=ended_at)
    else:
        end_with_model(
            services,
            run,
            plan,
            state,
            ending,
            cost=run.get("cost") if cost is None else cost,
            training_ended_at=ended_at,
            invocations=0,
            usd=usd,
        )


def train_epoch(plan: Plan, state: Checkpoint, data: TrainingData, epoch: int) -> tuple[float, int]:
    """One pass over the training set; changes ``state``'s arrays in place.

    Returns the mean cost and the number of correct predictions, each from before its batch's update.
    """
    network, optimiser = plan.network, plan.optimiser
    updates = (epoch - 1) * plan.batches_per_epoch
    total, correct = 0.0, 0
    for number, batch in enumerate(plan.batches(epoch)):
        X, Y = take_examples(data.X, batch), take_examples(data.Y, batch)
        cost, right = network.train_step(state.parameters, state.slots, X, Y, optimiser, updates + number + 1)
        total += cost * X.shape[1]
        correct += right
    return total / plan.examples, correct


def save(services: Services, run_id: str, generation: int, state: Checkpoint, **facts: Any) -> None:
    """Store a checkpoint, then point the run at it. Raises StaleGeneration."""
    key = services.artifacts.put_checkpoint(run_id, generation, state)
    services.ledger.renew(run_id, generation, checkpoint={"epoch": state.epoch, "key": key}, **facts)


def hand_over(services: Services, run_id: str, generation: int, state: Checkpoint, usd: float) -> None:
    """Let a successor go on from here, before Lambda ends this invocation."""
    save(services, run_id, generation, state, usd=usd)
    services.ledger.release(run_id, generation, f"generation {generation} hands over after epoch {state.epoch}")
    services.invoker.invoke_trainer(Message(run_id, generation + 1, "start"))
