"""Which tests run in one worker."""

from __future__ import annotations

from pathlib import Path

from xdist.scheduler import LoadFileScheduling

WAIT_FOR_TERRAFORM = {"test_deployment_lifecycle", "test_local_cloud"}
"""Files of tests/e2e with clouds of their own, which mostly wait for the provider."""

MAKE_OWN_PLANS = {"test_account", "test_configuration", "test_upgrade"}
"""Files of tests/terraform whose tests share no plan with those of another."""


class ByFile(LoadFileScheduling):
    """Sends the tests of a file, which share fixtures, to one worker; so, too, those of ``terraform`` that share plans,
    and those of ``e2e`` that wait for Terraform.

    Not by marks of pytest-xdist's own: it adds a group to a test's id, which pytest 9.2 does not read.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.partition("::")[0])
        shares_plans = path.parent.name == "terraform" and path.stem not in MAKE_OWN_PLANS
        return str(path.parent if shares_plans or path.stem in WAIT_FOR_TERRAFORM else path)
