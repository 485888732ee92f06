"""Which tests run in one worker."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling

WAIT_FOR_TERRAFORM = {"test_deployment_lifecycle", "test_local_cloud"}
"""Files of tests/e2e with clouds of their own, which mostly wait for the provider."""

MAKE_OWN_PLANS = {"test_account", "test_configuration", "test_upgrade"}
"""Files of tests/terraform whose tests share no plan with those of another."""

LONGEST = (
    *("test_deployment_lifecycle", "test_local_cloud", "test_estimators"),
    *("test_whole_runs", "test_simulation", "test_bad_input", "test_configuration", "test_redis_fences"),
    *("test_same_bits_on_any_host", "test_regions", "test_inventories", "test_policy_check", "test_model_corpus"),
)
"""The files that take more than half a minute begin first, so that no worker is left alone with one."""


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The tests, those of ``LONGEST`` before all others."""
    places = {name: place for place, name in enumerate(LONGEST)}
    return sorted(items, key=lambda item: places.get(item.path.stem, len(places)))


class ByFile(LoadFileScheduling):
    """Sends the tests of a file, which share fixtures, to one worker; so, too, those of ``terraform`` that share plans,
    and those of ``e2e`` that wait for Terraform.

    Not by marks of pytest-xdist's own: it adds a group to a test's id, which pytest 9.2 does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        shares_plans = path.parent.name == "terraform" and path.stem not in MAKE_OWN_PLANS
        return str(path.parent if shares_plans or path.stem in WAIT_FOR_TERRAFORM else path)
