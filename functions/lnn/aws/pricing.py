"""What AWS charges for a run, in US dollars: the one home of prices.

From AWS's pricing pages, us-east-1, first tier; other regions differ by some percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PER_GB_SECOND: Mapping[str, float] = MappingProxyType({"arm64": 0.0000133334, "x86_64": 0.0000166667})
"""AWS Lambda pricing."""
PER_INVOCATION = 0.20 / 1e6
"""AWS Lambda pricing."""
PER_LOGGED_GB = 0.50
"""Amazon CloudWatch pricing, "Logs: collect (data ingestion)". To keep it costs $0.03 for each GB and month besides."""


def lambda_usd(seconds: float, memory_mb: int, invocations: int, architecture: str = "arm64") -> float:
    """Price of ``seconds`` of a function with ``memory_mb`` of memory in ``invocations`` calls."""
    return seconds * memory_mb / 1024 * PER_GB_SECOND[architecture] + invocations * PER_INVOCATION


def logs_usd(size: float) -> float:
    """Price of so many bytes that functions log."""
    return size / 2**30 * PER_LOGGED_GB


def dynamodb_usd(writes: int) -> float:
    """Price of so many writes of small items, on demand (DynamoDB pricing page, us-east-1: $0.625 a million)."""
    return writes * 0.625e-6
