"""One run under a fault of each quick kind, and the same bits as without it. The whole suite: `make chaos`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from chaos.cloud import LAYER, ChaosCloud
from chaos.faults import FAULTS
from chaos.runner import Result, Runner
from chaos.schedule import LASTS_SECONDS, one_of_each_kind, schedule
from support.e2e_cloud import CloudUnderTest, eventually

SLOW = ("freeze", "late requests", "clocks", "stops and resumes", "one key", "time limit")
"""Kinds that only `make chaos` draws. Of faults that come back, a round waits for what wakes late; runs that a time
limit of seconds is to cut are made longer until it does (tests/e2e/test_hand_over.py has such limits)."""

QUICK = [fault for fault in FAULTS if not fault.kind.startswith(SLOW)]
KINDS = sorted({fault.kind for fault in QUICK})
SEED = 1


@pytest.fixture(scope="module")
def results(cloud: CloudUnderTest) -> list[Result]:
    """Of a round for each kind of fault."""
    disturbed = ChaosCloud(cloud.home)
    with disturbed.disturbable():
        return Runner(disturbed, SEED, cloud.home / "failures").run(one_of_each_kind(QUICK, SEED))


@pytest.mark.parametrize("kind", KINDS)
def test_a_disturbed_run_leads_to_the_same_bits(results: list[Result], kind: str) -> None:
    ours = [result for result in results if any(fault.kind == kind for fault in result.round.faults)]
    assert ours
    assert [(result.problem, result.strategy, result.story) for result in ours if result.problem] == []


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_long_schedule_has_every_fault_twice(seed: int) -> None:
    rounds = schedule(FAULTS, 200, seed)
    met = Counter(fault.name for turn in rounds for fault in turn.faults for _ in turn.strategies)
    assert sum(len(turn.strategies) for turn in rounds) == 200
    assert {fault.name: met[fault.name] for fault in FAULTS if met[fault.name] < 2} == {}


def test_many_schedules_have_every_fault_with_every_strategy_and_every_duration() -> None:
    rounds = [turn for seed in range(40) for turn in schedule(FAULTS, 200, seed)]
    met = {(fault.name, name) for turn in rounds for fault in turn.faults for name in turn.strategies}
    assert met >= {(fault.name, name) for fault in FAULTS for name in fault.strategies}
    assert {seconds for turn in rounds for seconds in turn.seconds} == set(LASTS_SECONDS)
    assert {len(turn.seconds) for turn in rounds} == {0, 1, 2}


def test_two_faults_of_one_run_can_both_strike_it() -> None:
    together = [turn for turn in schedule(FAULTS, 200, seed=3) if len(turn.faults) > 1]
    assert together
    for turn in together:
        first, second = turn.faults
        assert first.kind != second.kind
        assert set(turn.strategies) <= set(first.strategies) & set(second.strategies)
        assert not any(fault.shared or fault.long or fault.alone for fault in turn.faults)


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


def test_a_process_stands_still_at_an_armed_point_and_goes_on(tmp_path: Path) -> None:
    for place in ("armed", "struck"):
        (tmp_path / place).mkdir()
    (tmp_path / "armed" / "run--trainer--put--freeze").write_text("2")
    code = (
        "import lnn_chaos\n"
        "lnn_chaos.Here.role, lnn_chaos.Here.subject = 'trainer', 'run'\n"
        "for name in ('get', 'put', 'put', 'put', 'put'): lnn_chaos.point(name); print(name, flush=True)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(LAYER), "LNN_CHAOS_FOLDER": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            frozen = psutil.Process(process.pid)
            eventually(lambda: frozen.status() == psutil.STATUS_STOPPED, "the process to stand still", seconds=60)
            struck = tmp_path / "struck" / "run--trainer--put--freeze"
            assert int(struck.read_text()) == process.pid
            frozen.resume()
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert printed.split() == ["get", "put", "put", "put", "put"]
    assert process.returncode == 0
    assert not list((tmp_path / "armed").iterdir())
