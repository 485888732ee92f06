"""What a run's record says: whether it has ended, how long it took, what it has cost."""

from __future__ import annotations

from typing import Any

Run = dict[str, Any]

ENDED = frozenset({"COMPLETED", "FAILED", "STOPPED"})


_INTERNAL = frozenset(
    {
        "owner",
        "heartbeat",
        "lease_expires",
        "closing",
        "dataset_key",
        "plan",
        "attempts",
        "stop_requested",
        "told",
        "told_use",
        "watched",
    }
)


def has_ended(run: Run) -> bool:
    """True when nothing more will happen in the run."""
    return run["status"] in ENDED


def public(run: Run) -> Run:
    """The run without what only the functions need to know."""
    return {name: value for name, value in run.items() if name not in _INTERNAL}


def has_been_launched(run: Run) -> bool:
    """Whether Launch has finished with the run: accepted it, with a strategy, or refused it."""
    return run["status"] != "PENDING" or bool(run.get("strategy"))


def seconds_total(run: Run) -> float | None:
    """From the start of the upload to the moment the model exists."""
    return _between(run, "upload_started_at", "model_written_at")


def seconds_training(run: Run) -> float | None:
    """From the first epoch's start to the last epoch's end, by the clocks of those who trained."""
    if run.get("trained_seconds") is not None and run.get("training_started_at") and run.get("training_ended_at"):
        return float(run["trained_seconds"])
    return _between(run, "training_started_at", "training_ended_at")


def ms_per_epoch(run: Run) -> float | None:
    """Mean time of an epoch in milliseconds."""
    training, epochs = seconds_training(run), run.get("epoch")
    return training * 1000 / epochs if training is not None and epochs else None


def usd_so_far_and_left(run: Run) -> tuple[float, float] | None:
    """About what a run that goes on has cost in US dollars, and will still cost; None where nothing was estimated.

    `neuron` adds up what its functions use at every epoch; the others do so at checkpoints only, and the estimate from
    before they began fills the gap.
    """
    expected, epochs, used = (run.get("estimate") or {}).get("usd"), run.get("epochs"), float(run.get("usd") or 0.0)
    if expected is None or not epochs:
        return None
    done = (run.get("epoch") or 0) / epochs
    if run.get("strategy") == "neuron" and done and used:
        return used, used / done * (1 - done)
    return max(used, done * expected), (1 - done) * expected


def result(run: Run) -> dict[str, Any]:
    """A run's outcome as ``lnn train --json`` prints it."""
    return {
        "run_id": run["run_id"],
        "status": run["status"],
        "reason": run.get("reason"),
        "strategy": run.get("strategy"),
        "workers": run.get("workers"),
        "epochs": run.get("epoch"),
        "final_cost": run.get("final_cost"),
        "train_accuracy": run.get("train_accuracy"),
        "test_accuracy": run.get("test_accuracy"),
        "seconds": {"total": seconds_total(run), "training": seconds_training(run)},
        "ms_per_epoch": ms_per_epoch(run),
        "invocations": run.get("invocations"),
        "model": (run.get("artefacts") or {}).get("params"),
    }


def _between(run: Run, start: str, end: str) -> float | None:
    first, last = run.get(start), run.get(end)
    # Two machines' clocks may differ.
    return max(0.0, float(last) - float(first)) if first is not None and last is not None else None
