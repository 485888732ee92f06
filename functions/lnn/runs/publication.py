"""The copies of an ended run's model and results that people look for.

They are made after the one conditional write that ends the run, from what that write names: the model under a key of
its own, the figures in the record. So they can be made again at any time, by whoever finds that they are missing.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

from lnn.aws.clocks import moment
from lnn.errors import NonRetryable
from lnn.job.scores import SCORES
from lnn.models.store import Mark
from lnn.names import LATEST_PARAMS, LATEST_RESULTS, params_key, results_key, stays_apart
from lnn.runs.record import Run
from lnn.runs.services import Services

logger = logging.getLogger(__name__)

TIMES = ("training_started_at", "training_ended_at", "training_seconds", "trained_seconds", "model_written_at")
FLOATS = ("final_cost", "validation_cost", *SCORES, *TIMES, "usd")
"""Figures of ``results.json``; DynamoDB does not tell 1.0 from 1."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What came of an attempt to publish."""

    done: bool
    """False where AWS refuses, which a person has to mend: the watch tries again."""
    model_written_at: float | None
    """When this attempt put the run's own ``params.h5``, in epoch seconds; None where it did not."""


def publish(services: Services, run: Run, content: bytes | None = None) -> Publication:
    """Publish the model and results of an ended run under its own name and, if it is complete, as the latest.

    ``content`` is the model's file if the caller has it. Repeating this is harmless, and a late repeat replaces nothing
    that is newer. The run's story tells of what AWS refuses.
    """
    if run.status not in ("COMPLETED", "STOPPED") or run.artifacts is None:
        return Publication(done=True, model_written_at=None)
    artifacts = services.artifacts
    own_params, own_results = params_key(run.run_id), results_key(run.run_id)
    published_at: float | None = None
    ended = run.ended_model
    try:
        if ended is None:  # ended by a release that wrote both before the end
            content, results = artifacts.get_model(own_params, None), artifacts.get_results(own_results)
            mark = Mark(run.run_id, run.ends, float(run.model_written_at or run.finished_at or 0.0))
        else:
            mark = Mark(run.run_id, run.ends, ended["stored_at"])
            content = content or artifacts.get_model(ended["key"], ended["sha256"])
            first = run.ends == 1
            if artifacts.publish(own_params, content, mark, Mark.by_end, likely_new=first):
                published_at = moment()
            results = encode_results(run, ended["stored_at"])
            artifacts.publish(own_results, results, mark, Mark.by_end, likely_new=first)
    except NonRetryable as refused:
        _tell(services, run, f"the model is not published yet: {refused}")
        return Publication(done=False, model_written_at=None)
    if run.status == "COMPLETED" and not stays_apart(run.dataset_key):
        try:
            artifacts.publish(LATEST_PARAMS, content, mark, Mark.by_time)
            artifacts.publish(LATEST_RESULTS, results, mark, Mark.by_time)
        except NonRetryable as refused:
            _tell(services, run, f"the model did not become the latest: {refused}")
    return Publication(done=True, model_written_at=published_at)


def encode_results(run: Run, model_written_at: float) -> bytes:
    """``results.json``: the figures of the run's end, the same bytes whoever makes them and when."""
    figures: dict[str, Any] = {
        "epoch": run.epoch,
        **{name: run.attribute(name) for name in ("final_cost", *run.score_names, *TIMES, "usd")},
        "model_written_at": model_written_at,
    }
    if run.best_epoch is not None:
        figures |= {"best_epoch": run.best_epoch, "validation_cost": run.validation_cost}
    if (metrics := run.test_metrics) is not None:
        figures |= metrics.as_json()
    if run.worker_seconds:
        figures["worker_seconds"] = run.worker_seconds
    results = {
        "run_id": run.run_id,
        "status": run.status,
        "reason": run.reason,
        "strategy": run.strategy,
        "workers": run.workers,
        "epochs": run.epoch,
        **{name: float(value) if name in FLOATS and value is not None else value for name, value in figures.items()},
        "invocations": run.invocations,
        "settings": run.settings,
        "dimensions": run.dimensions,
        "model": run.artifacts["params"] if run.artifacts else None,
    }
    return json.dumps(results, indent=2).encode()


def _tell(services: Services, run: Run, what: str) -> None:
    """Note in the run's story what AWS refuses, once."""
    logger.warning("not published", extra={"why": what})
    if all(event["what"] != what for event in run.events):
        services.ledger.note(run.run_id, run.generation, what)
