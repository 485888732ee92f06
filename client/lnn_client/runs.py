"""Finding a run, and saying what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lnn_cli.ui.console import duration, number, share
from lnn_cli.ui.errors import CliError
from lnn_client.cloud import command

if TYPE_CHECKING:
    from lnn.runs.store import Ledger

Run = dict[str, Any]

ENDED = frozenset({"COMPLETED", "FAILED", "STOPPED"})
LATEST = "latest"
_SHOWN_CANDIDATES = 3


def find_run(ledger: Ledger, wanted: str) -> Run:
    """The run that an id, the start of one, or ``latest`` means.

    Raises:
        CliError: there is none, or more than one.
    """
    if wanted != LATEST:
        exact = ledger.get_run(wanted)
        if exact is not None:
            return exact
    runs = ledger.list_runs()
    if wanted == LATEST:
        if not runs:
            raise CliError(f"there is no run yet; start one with: {command('lnn train DATASET.h5')}")
        return runs[0]
    found = [run for run in runs if wanted and run["run_id"].startswith(wanted)]
    if not found:
        raise CliError(f"there is no run {wanted!r}; list them with: {command('lnn runs')}")
    if len(found) > 1:
        names = ", ".join(run["run_id"] for run in found[:_SHOWN_CANDIDATES])
        more = ", ..." if len(found) > _SHOWN_CANDIDATES else ""
        raise CliError(f"{wanted!r} fits {len(found)} runs ({names}{more}); give more of its id")
    return found[0]


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


def failure(run: Run) -> str:
    """Why a run that has ended is not COMPLETED, and what to do."""
    run_id = run["run_id"]
    reason = str(run.get("reason") or "no reason is recorded").rstrip(".")
    if run["status"] == "STOPPED":
        resume = command(f"lnn resume {run_id}")
        return f"run {run_id} was stopped ({reason}); go on with: {resume}"
    return f"run {run_id} failed: {reason}; see: {command(f'lnn show {run_id}')}"


def outcome(run: Run) -> str:
    """One sentence about a completed run."""
    figures = [f"cost {number(run.get('final_cost'))}", f"training accuracy {share(run.get('train_accuracy'))}"]
    if run.get("test_accuracy") is not None:
        figures.append(f"test accuracy {share(run['test_accuracy'])}")
    spent = seconds_total(run) or seconds_training(run)
    time = f" in {duration(spent)}" if spent is not None else ""
    reason = f"; {run['reason']}" if run.get("reason") else ""
    return f"{run['run_id']} completed {run.get('epoch')} epochs{time}: {', '.join(figures)}{reason}"


def _between(run: Run, start: str, end: str) -> float | None:
    first, last = run.get(start), run.get(end)
    # Two machines' clocks may differ.
    return max(0.0, float(last) - float(first)) if first is not None and last is not None else None
