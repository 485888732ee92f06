"""The short form of the chaos suite, on the cloud of the end-to-end tests: what it attaches, it takes away again."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TEST_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After all other tests: functions that were killed have left their traces in the logs."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    items[:] = [item for item in items if item not in ours] + ours
