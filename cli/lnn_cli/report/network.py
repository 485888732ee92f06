"""The view of a run's network within its report."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from lnn.job.plan import EXAMPLE_SPACE
from lnn_cli.ui.errors import explain
from lnn_cli.view.saved import saved_view
from lnn_client.inspection import Inspection

if TYPE_CHECKING:
    from lnn.job.plan import Plan
    from lnn.runs.record import Run
    from lnn_client.cloud import Cloud

MOST_BYTES = 4_000_000
"""Of the view in a report, before its quotation marks are escaped."""

MOST_WORK = 2e11
"""Multiplications that a report may take to compute a run again: about a minute."""


def view_of(cloud: Cloud, run: Run, now: float, missing: list[str]) -> str | None:
    """The page of ``lnn view`` as HTML; None where ``missing`` says why."""
    command = "make it a file of its own with lnn view RUN --html FILE"
    try:
        inspection = Inspection(cloud, run)
        if _work(inspection.plan) > MOST_WORK:
            missing.append(f"no view of the network: computing the run again takes too long for a report; {command}")
            return None
        return saved_view(inspection, now=now, most_bytes=MOST_BYTES)
    except Exception as error:  # noqa: BLE001 - whatever keeps one part from being read, the others are shown
        missing.append(f"no view of the network: {explain(error)}")
        return None


def _work(plan: Plan) -> float:
    """About how many multiplications the training takes."""
    # The first layer in example space is the smaller for it.
    first = min(plan.sizes[0], plan.examples) if plan.formulation == EXAMPLE_SPACE else plan.sizes[0]
    weights = sum(map(math.prod, pairwise([first, *plan.sizes[1:]])))
    return 3.0 * weights * plan.examples * plan.epochs
