"""What the shell completes: the ids of runs."""

import os

import typer

from lnn_client.cloud import Cloud, Target

MOST = 30
"""Runs that are offered, the newest first: a screen has no room for more."""


def run_ids(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids that begin so, each with the run's status and name; none where the deployment does not answer.

    The options that name the deployment count where they stand before what is completed.
    """
    given = context.params
    target = given.get("target") or os.environ.get("LNN_TARGET") or Target.LOCAL
    try:
        runs = Cloud(target, given.get("prefix"), given.get("region")).ledger.list_runs()
    except Exception:  # noqa: BLE001 - a shell that completes has no place for an error
        return []
    fitting = [run for run in runs if run.run_id.startswith(incomplete)]
    return [(run.run_id, " ".join(filter(None, (run.status, run.name)))) for run in fitting[:MOST]]
