"""One run under a fault of each kind, and the same bits as without it. The whole suite: `make chaos`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from chaos.cloud import LAYER, ChaosCloud
from chaos.faults import FAULTS
from chaos.runner import Result, Runner
from chaos.schedule import one_of_each_kind, schedule
from support.e2e_cloud import CloudUnderTest

KINDS = sorted({fault.kind for fault in FAULTS})
SEED = 1


@pytest.fixture(scope="module")
def results(cloud: CloudUnderTest) -> list[Result]:
    """Of a round for each kind of fault."""
    disturbed = ChaosCloud(cloud.home)
    with disturbed.disturbable():
        return Runner(disturbed, SEED, cloud.home / "failures").run(one_of_each_kind(FAULTS, SEED))


@pytest.mark.parametrize("kind", KINDS)
def test_a_disturbed_run_leads_to_the_same_bits(results: list[Result], kind: str) -> None:
    ours = [result for result in results if result.round.fault.kind == kind]
    assert ours
    assert [result.problem for result in ours] == [None] * len(ours)


def test_a_long_schedule_has_every_fault_with_every_strategy() -> None:
    rounds = schedule(FAULTS, 200, seed=2)
    met = Counter((turn.fault.name, name) for turn in rounds for name in turn.strategies)
    assert met.total() == 200
    assert {(fault.name, name) for fault in FAULTS if fault.several == 1 for name in fault.strategies} <= set(met)
    assert {fault.name for fault in FAULTS} == {name for name, _ in met}


def test_a_seed_draws_the_same_schedule_again() -> None:
    assert schedule(FAULTS, 50, seed=3) == schedule(FAULTS, 50, seed=3) != schedule(FAULTS, 50, seed=4)


def test_the_layer_finds_every_point_that_it_names() -> None:
    # A patched module that lacks what is to be wrapped cannot be imported; handlers would connect to AWS.
    code = (
        "import lnn_chaos, importlib\n"
        "for name in lnn_chaos.PATCHES:\n"
        "    if not name.endswith('handler'): importlib.import_module(name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(LAYER), "LNN_CHAOS_FOLDER": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
