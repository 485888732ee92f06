"""The corpus of bad input and files mutated at random: every upload ends with a reason, or trained on."""

from __future__ import annotations

import os
from pathlib import Path

import boto3
import pytest

from support.bad_input.corpus import corpus
from support.bad_input.driver import Outcome, faults, outcomes
from support.bad_input.mutations import mutants

LAUNCH_MIB = 1_769
"""The memory of the Launch function, in which the check of a dataset is a second process."""
RUNTIME_MIB = 250
"""What of it the function itself takes."""

FILES = int(os.environ.get("LNN_FUZZ_FILES", "60"))
SEED = int(os.environ.get("LNN_FUZZ_SEED", "1"))


def report(ended: list[Outcome]) -> str:
    """The figures of a sweep, on one line."""
    completed = sum(outcome.status == "COMPLETED" for outcome in ended)
    failed = sum(outcome.status == "FAILED" for outcome in ended)
    return (
        f"{len(ended)} uploads: {completed} COMPLETED, {failed} FAILED, {len(ended) - completed - failed} otherwise; "
        f"slowest {max(outcome.seconds for outcome in ended):.1f} s, "
        f"most memory of a check {max(outcome.mib for outcome in ended):.0f} MiB"
    )


@pytest.mark.timeout(600)
def test_every_case_of_the_corpus_ends_as_it_should_and_leaves_nothing(
    redis_port: int, aws: boto3.Session, tmp_path: Path
) -> None:
    cases = corpus()
    ended = outcomes(redis_port, tmp_path, cases)
    print(report(ended))
    assert len({case.name for case in cases}) == len(cases) >= 60
    wrong = [fault for case, outcome in zip(cases, ended, strict=True) for fault in faults(case, outcome)]
    assert not wrong, "\n".join(wrong)
    assert max(outcome.mib for outcome in ended) < LAUNCH_MIB - RUNTIME_MIB


@pytest.mark.timeout(60 + 2 * FILES)
def test_a_mutated_file_is_trained_on_or_refused_with_a_reason(
    redis_port: int, aws: boto3.Session, tmp_path: Path
) -> None:
    cases = mutants(SEED, FILES)
    ended = outcomes(redis_port, tmp_path, cases)
    print(report(ended))
    wrong = [fault for case, outcome in zip(cases, ended, strict=True) for fault in faults(case, outcome)]
    assert not wrong, "\n".join(wrong)
    assert max(outcome.mib for outcome in ended) < LAUNCH_MIB - RUNTIME_MIB
