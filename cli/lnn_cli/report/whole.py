"""A run's report as a page, with nothing but the run to say: what ``Run.report`` of the client loads by its name."""

from __future__ import annotations

import time
from collections.abc import Sequence

from lnn.runs.record import Run
from lnn_cli.report import page
from lnn_cli.report.findings import Findings, gather
from lnn_cli.report.network import view_of
from lnn_client.cloud import Cloud


def html_of(cloud: Cloud, run: Run) -> tuple[bytes, Sequence[str]]:
    """The page, and reasons for what it lacks."""
    findings = gather(cloud, run)
    return html_of_findings(cloud, findings), findings.missing


def html_of_findings(cloud: Cloud, findings: Findings) -> bytes:
    """The page. What it lacks besides is added to ``findings.missing``."""
    network = view_of(cloud, findings.run, time.time(), findings.missing)
    return page.html(findings, cloud.target, network).encode()
