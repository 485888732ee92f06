"""Prices of AWS, in US dollars, and what a run costs at them.

From AWS's pricing pages: us-east-1, first tier. Other regions differ by a few percent.
"""

from collections.abc import Mapping
from types import MappingProxyType

PER_GB_SECOND: Mapping[str, float] = MappingProxyType({"arm64": 0.0000133334, "x86_64": 0.0000166667})
"""AWS Lambda pricing."""
PER_INVOCATION = 0.20 / 1e6
"""AWS Lambda pricing."""
PER_LOGGED_GB = 0.50
"""Amazon CloudWatch pricing, "Logs: collect (data ingestion)". Storage costs another $0.03 per GB and month."""


def lambda_usd(seconds: float, memory_mb: int, invocations: int, architecture: str = "arm64") -> float:
    """Price of ``seconds`` of a function with ``memory_mb`` of memory in ``invocations`` calls."""
    return seconds * memory_mb / 1024 * PER_GB_SECOND[architecture] + invocations * PER_INVOCATION


def logs_usd(size: float) -> float:
    """Price of logging ``size`` bytes."""
    return size / 2**30 * PER_LOGGED_GB


def dynamodb_usd(writes: int) -> float:
    """Price of ``writes`` writes of small items, on demand (DynamoDB pricing page, us-east-1: $0.625 a million)."""
    return writes * 0.625e-6
