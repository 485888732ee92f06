"""How many examples a worker of ``data`` holds in memory."""

from __future__ import annotations

import pytest

from lnn.strategies.data_parallel.engine import held_bytes
from lnn.strategies.data_parallel.memory import LEAST_HELD_MB, RESERVE, held_mb, needed_mb
from support.plans import plan

MIB = 2**20


def test_a_function_holds_what_it_has_beyond_its_needs_and_a_reserve() -> None:
    for memory_mb in (512, 1769, 10240):
        needed = 300
        assert held_mb(memory_mb, needed) + needed - LEAST_HELD_MB <= memory_mb * (1 - RESERVE)
    assert held_mb(200, 300) == LEAST_HELD_MB  # the planner refuses it before
    assert held_mb(0, 300) == LEAST_HELD_MB


def test_larger_networks_leave_less_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
    small = held_bytes(plan(), 2)
    large = held_bytes(plan(sizes=[5, 4_000_000, 3, 1]), 2)
    assert small > large == LEAST_HELD_MB * MIB
    assert held_bytes(plan(optimizer="adam", sizes=[5, 400_000, 3, 1]), 2) < held_bytes(
        plan(sizes=[5, 400_000, 3, 1]), 2
    )


def test_every_part_of_a_batch_has_a_gradient() -> None:
    facts = {"parameters": MIB, "slots": 0, "best_parameters": 0, "features": 1, "examples": 1, "item": 4}
    assert needed_mb(**facts, parts=4) - needed_mb(**facts, parts=1) == 12
