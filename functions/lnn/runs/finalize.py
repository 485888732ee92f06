"""When a run ends, and all that has to happen then.

An end is decided from figures that every strategy has at the end of an epoch. It is carried out in
an order in which a crash at any point loses nothing: first the model and the checkpoint, under
names that no other end has, then the one conditional write that ends the run and names them, then
what may be repeated (``close``): the copies that people look for among it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack, cast

import numpy as np

from lnn.aws.clocks import moment
from lnn.data.preprocessing import PREPROCESSING, Preprocessing
from lnn.job.plan import Plan
from lnn.job.scores import FinalScores
from lnn.models.checkpoint import Checkpoint
from lnn.models.model_file import Model, encode_model
from lnn.models.store import digest_of
from lnn.names import params_key, results_key, s3_uri
from lnn.runs import metrics
from lnn.runs.admission import give_back
from lnn.runs.publication import publish
from lnn.runs.record import Run
from lnn.runs.services import Services
from lnn.runs.stopping import Ending, _divergence
from lnn.runs.timeline import store_left_records
from lnn.strategies.registry import meets_in_redis

if TYPE_CHECKING:
    from lnn.runs.attributes import Facts, WorkerSeconds

logger = logging.getLogger(__name__)


def end_with_model(
    services: Services,
    run: Run,
    plan: Plan,
    state: Checkpoint,
    ending: Ending,
    *,
    cost: float | None,
    scores: FinalScores,
    training_ended_at: float,
    training_seconds: float,
    invocations: int,
    usd: float,
    worker_seconds: Sequence[WorkerSeconds] | None = None,
) -> None:
    """End a run that has a model to show, ``state.model``, of such ``scores``; ``cost`` is that of ``state.epoch``.

    ``training_seconds`` are those of all generations, each by its own clock. ``invocations`` counts those that the
    ledger does not know of. The checkpoint is stored too, so that a stopped run
    can be resumed. Parameters that are no numbers are no model: the last update may make them so without a cost
    that shows it, and then the run fails.
    """
    run_id, generation = run.run_id, run.generation
    if not all(np.isfinite(array).all() for layer in state.model for array in layer):
        broken = _divergence(f"the weights after epoch {state.epoch} are not finite", plan)
        end_without_model(services, run_id, generation, broken, epoch=state.epoch, usd=usd)
        return
    artifacts = services.artifacts
    checkpoint = artifacts.put_checkpoint(run_id, generation, state)
    content = encode_model(
        Model(
            parameters=state.model,
            run_id=run_id,
            activations=plan.activations,
            list_classes=plan.list_classes,
            list_targets=plan.list_targets,
            image_shape=tuple(plan.image_shape) if plan.image_shape else None,
            scale=plan.scale,
            value_range=(plan.value_range[0], plan.value_range[1]) if plan.value_range else None,
            preprocessing=_preprocessing(services, run_id, plan),
            border=(plan.border[0], plan.border[1]) if plan.border else None,
        )
    )
    model = artifacts.put_model(content, run_id, generation, state.epoch, state.so_far.batches)
    stored_at = moment()
    started = run.training_started_at
    if started is not None:  # by a machine whose clock may be ahead
        training_ended_at = max(training_ended_at, started + training_seconds)
    facts: Facts = {
        "epoch": state.epoch,
        "final_cost": cost,
        "training_started_at": started,
        "training_ended_at": training_ended_at,
        "training_seconds": None if started is None else training_seconds,
        "trained_seconds": training_seconds,
        "model_written_at": stored_at,
        "usd": usd,
        "invocations": run.invocations + invocations,
        "step_invocations": 0,  # now a part of ``invocations``
        "cost": cost,
        "reached": None,
        "checkpoint": state.stored_as(checkpoint, cost),
        "ended_model": {"key": model, "sha256": digest_of(content), "stored_at": stored_at},
        "artefacts": {
            "params": s3_uri(artifacts.bucket, params_key(run_id)),
            "results": s3_uri(artifacts.bucket, results_key(run_id)),
        },
    }
    if state.best is not None:
        facts["best_epoch"], facts["validation_cost"] = state.best
    if worker_seconds is not None:
        facts["worker_seconds"] = worker_seconds
    ended = services.ledger.finish(
        run_id, generation, ending.status, ending.reason, **cast("Facts", {**facts, **scores})
    )
    if ended is not None:
        close(services, ended, content)


def _preprocessing(services: Services, run_id: str, plan: Plan) -> Preprocessing | None:
    """How raw rows become the network's features, as Launch has stored it; None where nothing has to be done."""
    if not plan.preprocessed:
        return None
    return Preprocessing.decode(services.artifacts.get_tensor(run_id, PREPROCESSING))


def end_without_model(services: Services, run_id: str, generation: int, ending: Ending, **facts: Unpack[Facts]) -> None:
    """End a run that has failed."""
    ended = services.ledger.finish(run_id, generation, ending.status, ending.reason, **facts)
    if ended is not None:
        close(services, ended)


def cost_of(services: Services, run: Run, epoch: int) -> float | None:
    """The cost of an epoch, if it is known."""
    if epoch == 0:
        return None
    if run.cost is not None and run.epoch == epoch:
        return float(run.cost)
    saved = run.latest_checkpoint
    if saved["epoch"] == epoch and (cost := saved.get("cost")) is not None:
        return float(cost)
    return next((row.cost for row in services.ledger.history(run.run_id, epoch - 1) if row.epoch == epoch), None)


def close(services: Services, run: Run, model: bytes | None = None) -> None:
    """What follows the end of a run: publish, clean up, tell people. Repeating it is harmless.

    ``run`` is the run as it was at that end, ``model`` its model's file where the caller has it.
    """
    run_id = run.run_id
    publication = publish(services, run, model)
    facts: Facts = {}
    if publication.model_written_at is not None:
        facts["model_written_at"] = publication.model_written_at
    emptied = not meets_in_redis(run.strategy) or emptied_parameter_server(services, run)
    freed = freed_workers(services, run)
    if not told_of(services, run):
        services.notifier.ended(run)
        metrics.ended(run)
    services.ledger.close(run, done=publication.done and emptied and freed, **facts)
    logger.info("run ended", extra={"run_id": run_id, "status": run.status, "reason": run.reason})


def told_of(services: Services, run: Run) -> bool:
    """Whether people have had the message of this end: from another one, too, who carried it out meanwhile."""
    if run.told:
        return True
    now = services.ledger.get_run(run.run_id)
    return now is not None and now.told and now.ends == run.ends


def emptied_parameter_server(services: Services, run: Run) -> bool:
    """Remove the ended run's keys, and none of a later generation: it may have been resumed.

    False when Redis does not answer, which must not keep the end from people.
    """
    if run.records_invocations:
        store_left_records(services, run.run_id, run.generation)
    try:
        services.server(run.run_id).remove(run.generation)
    except Exception:
        logger.exception("keys are left in the parameter server; the watch will try again")
        return False
    return True


def freed_workers(services: Services, run: Run) -> bool:
    """Give the run's workers back, and start who waits; False when the table does not answer, which keeps nobody."""
    try:
        give_back(services, run)
    except Exception:
        logger.exception("the run's workers stay reserved; the watch will try again")
        return False
    return True
