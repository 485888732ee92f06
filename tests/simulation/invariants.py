"""What must hold when everything is over: one effect, whatever was delivered."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulation.code_under_test import VARIABLES
from simulation.functions import RETRIES
from simulation.jobs import Job
from simulation.world import World

LATE_FILL_SECONDS = 3600
"""What a process that comes back puts into Redis after the end of its run, where nobody reads it, lives no longer."""

LINGERING_SECONDS = 20.0
"""After the end of a run its workers are gone so soon: who waits for a peer looks at the run every two seconds."""

LOSS_SECONDS = 10.0
"""Whoever carries out the end waits so long for each answer that is lost."""

DEFECTS = {"AssertionError", "AttributeError", "IndexError", "KeyError", "NameError", "TypeError", "UnboundLocalError"}
"""Errors that the next generation heals like any other, and that no fault excuses."""

Bits = tuple[bytes, ...]


@dataclass(frozen=True)
class Reference:
    """What a job leads to when nothing disturbs it."""

    bits: dict[tuple[int, int], Bits]
    """Parameters after so many epochs, and so many batches of the next; and the best so far, where they are kept."""
    models: dict[tuple[int, int], Bits]
    """Parameters of the model, if the run ended there."""
    history: list[tuple[Any, ...]]
    epochs: int
    status: str
    sites: dict[str, int]
    messages: dict[str, int]
    duration: float


def bits_of_checkpoint(body: bytes) -> Bits:
    with np.load(io.BytesIO(body)) as stored:
        names = _parameters(stored.files)
        if "best" in stored.files:
            names += ["best", *(name for name in _parameters(stored.files, "best."))]
        return tuple(np.ascontiguousarray(stored[name]).tobytes() for name in names)


def bits_of_its_model(body: bytes) -> Bits:
    """Those of the model that a run ends with, whose last checkpoint this is."""
    with np.load(io.BytesIO(body)) as stored:
        names = _parameters(stored.files, "best.") or _parameters(stored.files)
        return tuple(np.ascontiguousarray(stored[name]).tobytes() for name in names)


def _parameters(names: Sequence[str], prefix: str = "") -> list[str]:
    """Names of the parameters among those of a checkpoint's arrays, layer by layer."""
    layers = sum(1 for name in names if name.startswith("W") and "." not in name)
    wanted = [f"{prefix}{kind}{layer}" for layer in range(1, layers + 1) for kind in "Wb"]
    return [name for name in wanted if name in names]


def bits_of_model(body: bytes) -> Bits:
    from lnn.models.validation import load_model

    return tuple(np.ascontiguousarray(array).tobytes() for layer in load_model(body).parameters for array in layer)


def problems(world: World, in_time: bool, references: Mapping[int, Reference]) -> list[str]:
    """Everything that does not hold, each with a name before the colon.

    ``references`` are the job's, by the seed in its parameters, and those of other parameters that were put beside the
    dataset.
    """
    found: list[str] = []
    if not in_time:
        statuses = {run_id: world.ledger_run(run_id) for run_id in world.uploads}
        shown = {
            run_id: run and (run.status, run.reason, run.generation, run.closing) for run_id, run in statuses.items()
        }
        return [f"hang: {shown}, {world.functions.running} invocations, at {world.scheduler.now:.1f} s"]
    for run_id in world.uploads:
        found += _of_run(world, run_id, references)
    found += [f"defect: {error}" for error in world.functions.errors if error.split(": ")[1] in DEFECTS]
    keys = world.redis.server.all_keys(living_longer_than=LATE_FILL_SECONDS)
    # A Redis that goes back after the end of a run has the run's keys again, until they expire.
    if keys and not any(fault.kind == "redis back" for fault in world.faults.all):
        found.append(f"keys left: {keys[:5]}")
    return found


def _of_run(world: World, run_id: str, references: Mapping[int, Reference]) -> list[str]:
    run = world.ledger_run(run_id)
    found: list[str] = []
    failed = [event["what"] for event in run.events if event["what"].startswith("failed")]
    if failed and not _launch_never_finished(world, failed):  # such a run says so
        found.append(f"failed: {failed}")
    if run.status == "FAILED":
        return found if run.reason else [*found, "failed without a reason: "]
    reference = references[run.plan["seed"]]
    body = world.s3.latest(f"prediction_input/{run_id}/params.h5")
    found += _model(world, run, reference, body)
    history, expected = world.history(run_id), _expected_history(reference, run, world.job)
    if history != expected:
        differing = sorted({row[0] for row in set(history) ^ set(expected)})
        kind = "figures" if [row[0] for row in history] == [row[0] for row in expected] else "rows"
        found.append(f"other {kind}: epochs {differing}, {history} instead of {expected}")
    found += _results(world, run, body)
    found += _registered(world, run_id, run, body)
    found += _told(world, run_id, run)
    found += _lingering(world, run)
    return found


def _launch_never_finished(world: World, failed: Sequence[str]) -> bool:
    """Whether a run says that Launch did not finish, and Launch met a fault at each of Lambda's tries."""
    kills = [fault for fault in world.faults.all if fault.kind.startswith("kill") and fault.site.startswith("launch")]
    raised = [error for error in world.functions.errors if error.startswith("launch")]
    return len(kills) + len(raised) > RETRIES and all("the Launch function did not finish" in what for what in failed)


def _model(world: World, run: Any, reference: Reference, body: bytes | None) -> list[str]:
    found = []
    batches = run.checkpoint.get("batches", 0)
    expected = reference.models.get((run.epoch, batches))
    if run.status == "COMPLETED" and run.epoch != reference.epochs:
        found.append(f"ended early: COMPLETED after epoch {run.epoch} of {reference.epochs}")
    if body is None:
        found.append("no model: params.h5 is missing")
    elif (bits := bits_of_model(body)) != expected:
        named = [at for at, other in reference.models.items() if other == bits]
        place = named or "no place at all"
        found.append(f"other model: the ledger says {(run.epoch, batches)}, the model is of {place}")
    pointed = world.s3.latest(run.checkpoint["key"])
    if pointed is None or bits_of_checkpoint(pointed) != reference.bits.get((run.checkpoint["epoch"], batches)):
        found.append(f"other checkpoint: {run.checkpoint}")
    return found


def _results(world: World, run: Any, body: bytes | None) -> list[str]:
    results = world.s3.latest(f"training_results/{run.run_id}/results.json")
    if results is None:
        return ["no results: results.json is missing"]
    found = []
    stored = json.loads(results)
    ledger = {"status": run.status, "epochs": run.epoch, "final_cost": run.final_cost}
    if {name: stored[name] for name in ledger} != ledger:
        found.append(f"other results: {stored['status']} after epoch {stored['epochs']}, the ledger says {ledger}")
    if run.status == "COMPLETED":
        if world.s3.latest("prediction_input/params.h5") != body:
            found.append("latest: prediction_input/params.h5 is not the run's")
        latest = json.loads(world.s3.latest("training_results/results.json") or b"{}")
        # Who publishes again does not know when the copy before was made.
        if {**latest, "model_written_at": None} != {**stored, "model_written_at": None}:
            found.append("latest: training_results/results.json is not the run's")
    return found


def _expected_history(reference: Reference, run: Any, job: Job) -> list[tuple[Any, ...]]:
    every = int(job.parameters["record_every"])
    whole = [row for row in reference.history if row[0] <= run.epoch]
    if run.status == "STOPPED":
        # A run that stops between two batches has left its last whole epoch behind.
        last = None if run.checkpoint.get("batches") else run.epoch
        return [row for row in whole if row[0] % every == 0 or row[0] == last]
    return [row for row in whole if row[0] % every == 0 or row[0] == reference.epochs]


def _registered(world: World, run_id: str, run: Any, body: bytes | None) -> list[str]:
    import hashlib

    from lnn.aws.dynamodb_items import plain

    models = [plain(item) for item in world.item_table(VARIABLES["LNN_MODELS_TABLE"])]
    of_run = [model for model in models if model.get("run_id") == run_id]
    if body is None:
        return []
    model_id = f"{run_id}-{hashlib.sha256(body).hexdigest()[:8]}"
    mine = [model for model in of_run if model["model_id"] == model_id]
    if not mine:
        return [f"not registered: {model_id}; there are {[model['model_id'] for model in models]}"]
    epoch = getattr(run, "model_epoch", run.epoch)  # releases without validation sets have the last epoch's model
    if mine[0].get("test_accuracy") != run.test_accuracy or mine[0].get("epoch") != epoch:
        theirs = f"epoch {mine[0].get('epoch')}, accuracy {mine[0].get('test_accuracy')}"
        return [f"registered otherwise: {theirs}; the ledger has epoch {epoch}, {run.test_accuracy}"]
    return []


def _told(world: World, run_id: str, run: Any) -> list[str]:
    """The last end is told of; earlier ones need not be, where the run was resumed before they were carried out."""
    if _topic_was_away(world):
        return []  # a message that cannot be sent is logged, and lost
    subjects = [subject for _, subject, text in world.topic.messages if run_id in text]
    told = [subject for subject in subjects if f"training {run.status.lower()}" in subject]
    ends = [event for event in run.events if event["what"].startswith(run.status.lower())]
    if not told:
        return [f"never told: {subjects}"]
    return [f"told twice: {told}"] if len(told) > len(ends) and not world.faults.all else []


def _lingering(world: World, run: Any) -> list[str]:
    """Workers that stayed long after their run had ended, unless they stood still or could not ask about it."""
    if any(fault.kind == "outage" for fault in world.faults.all):
        return []
    end = world.ended[run.run_id]
    losses = sum(fault.kind in {"lose request", "lose answer", "late"} for fault in world.faults.all)
    limit = LINGERING_SECONDS + LOSS_SECONDS * losses
    stayed = [went - end for run_id, came, went in world.functions.workers if run_id == run.run_id and came < end]
    return [f"lingering: {late:.1f} s after the end" for late in stayed if late > limit]


def _topic_was_away(world: World) -> bool:
    return any(fault.what.startswith("sns") or " publish " in fault.site for fault in world.faults.all)
