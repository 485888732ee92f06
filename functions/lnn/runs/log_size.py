"""How much the functions log, in bytes: CloudWatch Logs asks for each.

The figures are what the lines have on AWS, with its request ids and ARNs; ``tests/unit/runs/test_log_size.py``
writes such lines and holds the figures to them.
"""

import math

CLOSING_BYTES = 590
"""The line with which an invocation ends: "handled", "worker done", "neuron done"."""

METRICS_BYTES = 680
"""A line of metrics (``metrics``)."""

METRICS_LINES = 25
"""The most lines of metrics that are written at once: 25 take some 3 ms, whatever the number of epochs they stand for.
"""

METRICS_INTERVAL_SECONDS = 5.0
"""Between two times, in a training that goes on: a metric has one point a minute, and a log line has its price."""


def closing_bytes(log_level: str, neuron: bool = False) -> int:
    """Bytes that an invocation logs where nothing goes wrong, by the functions' level.

    A ``neuron``, one of hundreds of thousands in a run, ends at DEBUG; all others at INFO.
    """
    return CLOSING_BYTES if log_level == "DEBUG" or (log_level == "INFO" and not neuron) else 0


def metrics_lines(rows: float, seconds: float) -> float:
    """Lines of metrics that a trainer writes for so many rows of the history in a training that takes so long."""
    return min(rows, METRICS_LINES * (1 + math.ceil(seconds / METRICS_INTERVAL_SECONDS)))
