"""A case of the corpus: what is uploaded, and what its run must come to."""

from __future__ import annotations

from dataclasses import dataclass

VALID = "<valid>"
"""In place of what a reason must say: there is nothing wrong with it, and the run is COMPLETED."""
EITHER = "<either>"
"""The damage may have hit something or not: COMPLETED, or FAILED with any good reason."""


@dataclass(frozen=True, slots=True)
class Case:
    """One upload; ``expected`` are parts of the reason that its run must fail with, or VALID or EITHER."""

    name: str
    dataset: bytes
    parameters: bytes
    expected: tuple[str, ...]
