"""What a run has led to, and what distinguishes it from an undisturbed one."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import h5py

from chaos.cloud import ChaosCloud
from chaos.scene import Figures, Victim
from lnn.data.in_memory import training_data
from lnn.names import results_key
from support.e2e_cloud import Run

IN_RECORD = (
    *("status", "epoch", "cost", "final_cost", "train_accuracy", "test_accuracy", "test_classes"),
    *("strategy", "workers", "epochs"),
)
IN_RESULTS = "status", "reason", "strategy", "workers", "epochs", "final_cost", "train_accuracy", "test_accuracy"
ENDS = {"completed", "stopped", "failed"}
FIRST_WORDS = "LNN: training "

SETTLED_SECONDS = 30.0
"""Within which a model is registered, also when its event comes again."""

KEYS_SECONDS = 20.0
"""Within which a sign of life of a worker that was killed is gone, too, one that waits for a peer in vain has looked at
the run, and one that ends its run is done with it: seconds after the record says so, where other tests want the
processor as well."""

LATE_KEYS_SECONDS = 3600
"""How long keys may live that a process has written which woke after the end of its run."""

FOREVER = -1
"""What Redis says of a key that does not expire."""

LOOK_SECONDS = 0.2

_loading = threading.Lock()
"""The data of one run is kept at a time."""


def figures_of(cloud: ChaosCloud, run: Run) -> Figures:
    """Of a run that has ended with a model."""
    outcome = cloud.outcome(run.run_id)
    stored = cloud.s3.get_object(Bucket=cloud.names.bucket, Key=results_key(run.run_id))["Body"].read()
    results = json.loads(stored)
    record: dict[str, Any] = {name: run.attribute(name) for name in IN_RECORD}
    return Figures(
        outcome.history,
        outcome.parameters,
        {**record, "dimensions": run.dimensions, "settings": _comparable(run.settings)},
        {
            **{name: results[name] for name in IN_RESULTS},
            "dimensions": results["dimensions"],
            "settings": _comparable(results["settings"]),
        },
    )


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without what changes no bit."""
    return {name: value for name, value in settings.items() if name not in {"checkpoint_seconds", "step"}}


def difference(cloud: ChaosCloud, victim: Victim) -> str | None:
    """What is not as it should be about a completed run, or None."""
    run = cloud.run(victim.run_id)
    found = figures_of(cloud, run)
    checks: list[Callable[[], str | None]] = [
        lambda: _other_figures(found, victim.expected(run)),
        lambda: _other_model(cloud, run),
        lambda: None if victim.keys_may_stay else _lasting(lambda: _keys(cloud, victim), KEYS_SECONDS),
        lambda: None if victim.messages_may_fail else _lasting(lambda: _other_messages(cloud, victim), KEYS_SECONDS),
        lambda: _lasting(lambda: _other_registration(cloud, run), SETTLED_SECONDS),
    ]
    problems = [problem for check in checks if (problem := check())]
    return "; ".join(problems) or None


def _lasting(probe: Callable[[], str | None], seconds: float) -> str | None:
    """A problem that is still there after a while."""
    deadline = time.monotonic() + seconds
    while (problem := probe()) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return problem


def _other_figures(found: Figures, undisturbed: Figures) -> str | None:
    told = []
    if found.history != undisturbed.history:
        told.append(f"another history: {_rows(found.history, undisturbed.history)}")
    if found.parameters != undisturbed.parameters:
        wrong = [name for name, value in undisturbed.parameters.items() if found.parameters.get(name) != value]
        told.append(f"other parameters: {', '.join(wrong)}")
    for what, ours, theirs in (
        ("record", found.record, undisturbed.record),
        ("results.json", found.results, undisturbed.results),
    ):
        told += [
            f"in the {what}, {name} is {ours[name]!r}, not {theirs[name]!r}"
            for name in theirs
            if ours[name] != theirs[name]
        ]
    return "; ".join(told) or None


def _rows(found: list[dict[str, float]], undisturbed: list[dict[str, float]]) -> str:
    ours, theirs = ({int(row["epoch"]): row for row in rows} for rows in (found, undisturbed))
    parts = {
        "more": sorted(ours.keys() - theirs.keys()),
        "fewer": sorted(theirs.keys() - ours.keys()),
        "others": [epoch for epoch in sorted(ours.keys() & theirs.keys()) if ours[epoch] != theirs[epoch]],
    }
    return ", ".join(f"{len(epochs)} rows {what} ({epochs[:6]})" for what, epochs in parts.items() if epochs)


def _keys(cloud: ChaosCloud, victim: Victim) -> str | None:
    """Keys that stay. What comes late may leave some that soon expire."""
    late = bool(victim.zombies) or any(trouble.is_late for trouble in victim.troubles)
    soon = LATE_KEYS_SECONDS if late else 0
    lives = {key: cloud.redis.ttl(key) for key in cloud.redis_keys(victim.run_id)}
    keys = [key for key, seconds in lives.items() if seconds == FOREVER or seconds > soon]
    return f"left in Redis: {', '.join(key.decode() for key in keys)}" if keys else None


def _other_messages(cloud: ChaosCloud, victim: Victim) -> str | None:
    """Whether people have had one message about each end of the run, and no more again than may have come."""
    run = cloud.run(victim.run_id)
    ends = Counter(word for event in run.events if (word := event["what"].partition(":")[0]) in ENDS)
    subjects = [message.subject for message in cloud.messages(run.run_id)]
    words = [subject.removeprefix(FIRST_WORDS).split()[0].rstrip(",") for subject in subjects]
    told = Counter(word for word in words if word in ENDS)
    again = (told - ends).total()
    if told >= ends and again <= victim.messages_may_repeat:
        return None
    return f"messages about its ends: {dict(told)}, and it ended: {dict(ends)}"


def _other_model(cloud: ChaosCloud, run: Run) -> str | None:
    """Whether the model is the one of the record."""
    with h5py.File(io.BytesIO(cloud.model(run.run_id))) as file:
        told = str(file.attrs.get("run_id", run.run_id))
    return None if told == run.run_id else f"params.h5 is of run {told}"


def _other_registration(cloud: ChaosCloud, run: Run) -> str | None:
    """Whether the model is registered, and each of the run's models with the accuracy that it has."""
    content = cloud.model(run.run_id)
    named = f"{run.run_id}-{hashlib.sha256(content).hexdigest()[:8]}"
    models = {model["model_id"]: model for model in cloud.registry.list_models() if model.get("run_id") == run.run_id}
    if named not in models:
        return f"{named} is not registered, but {sorted(models)}"
    plan = run.parsed_plan
    with _loading:
        data = training_data(cloud.artifacts, run.run_id, plan)
    for model_id, model in models.items():
        stored = cloud.artifacts.get_registered_model(model_id, model.get("sha256"))
        accuracy = plan.network.accuracy(stored.parameters, data.X_test, data.y_test)
        if model.get("test_accuracy") != accuracy:
            return f"{model_id} is registered with test accuracy {model.get('test_accuracy')}, and has {accuracy}"
    return None
