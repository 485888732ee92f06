"""Which tests run in one worker, and which begin first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

WAIT_FOR_TERRAFORM = ("test_deployment_lifecycle", "test_local_cloud")
"""Files of tests/e2e with clouds of their own, which mostly wait for the provider."""

MAKE_OWN_PLANS = ("test_account", "test_configuration", "test_side_by_side", "test_upgrade")
"""Files of tests/terraform whose tests share no plan with those of another."""

CHAOS = "test_chaos"
"""No test follows it in its worker: functions that were killed have left their traces in the logs of the cloud."""

FIRST = (
    *WAIT_FOR_TERRAFORM,
    # They need no cloud: meanwhile that of their worker starts.
    *("test_view", "test_page"),
    *("test_estimators", "test_sweeps", "test_unhealable_faults", "test_client", "test_stop_and_resume"),
    CHAOS,
    *("test_whole_runs", "test_simulation", "test_bad_input", "test_configuration", "test_redis_fences"),
    *("test_batches_of_an_epoch", "test_same_bits_on_any_host", "test_regions", "test_inventories"),
    *("test_policy_check", "test_model_corpus", "test_protocol_model", "test_side_by_side"),
)
"""The files that take more than half a minute begin first, so that no worker is left alone with one. Those of tests/e2e
that are not here take as long together as chaos takes alone."""


def in_order(items: Iterable[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests, those of ``FIRST`` before all others; with one worker chaos is the last."""
    places = {name: place for place, name in enumerate(FIRST)}
    if workers == 1:
        places[CHAOS] = len(places) + 1
    return sorted(items, key=lambda item: places.get(item.path.stem, len(FIRST)))


class ByFile(LoadFileScheduling):
    """Sends the tests of a file, which share fixtures, to one worker; so, too, those of ``terraform`` that share plans,
    and those of ``e2e`` that wait for Terraform.

    Not by marks of pytest-xdist's own: it adds a group to a test's id, which pytest 9.2 does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        shares_plans = path.parent.name == "terraform" and path.stem not in MAKE_OWN_PLANS
        return str(path.parent if shares_plans or path.stem in WAIT_FOR_TERRAFORM else path)

    def _reschedule(self, node: WorkerController) -> None:
        has_chaos = any(Path(scope).stem == CHAOS for scope in self.assigned_work[node])
        if has_chaos and len(self.nodes) > 1:
            if not node.shutting_down:
                node.shutdown()
            return
        super()._reschedule(node)
