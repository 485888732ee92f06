"""Lines with metrics that functions have written to their log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lnn.runs.metrics import Metric

if TYPE_CHECKING:
    import pytest


def emitted(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines with metrics since the last look; each declares the metrics that it has."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    for line in lines:
        declared = {metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
        assert declared == set(line) & set(Metric)
    return lines
