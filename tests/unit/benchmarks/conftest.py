"""What the tests of the benchmark share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _looks_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark looks at the other processes for a second before each sample; these tests measure nothing."""
    monkeypatch.setattr("lnnbench.machine.LOOK_SECONDS", 0.001)
