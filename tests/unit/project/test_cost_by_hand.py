"""The calculation by hand in docs/aws.md is right, and the estimate agrees with it."""

from __future__ import annotations

import re

import pytest

from lnn.data.validation import examine_dataset
from lnn.job.hyperparameters import parse_settings
from lnn.planning.cost_model import CostModel, Estimate
from lnn.planning.workload import Functions, Job
from support.repository import REPOSITORY

HEADING = "### By hand: the digits, one neuron at a time"


@pytest.fixture(scope="module")
def table() -> dict[str, list[str]]:
    """The cells of each row of the section's tables, by the first one."""
    section = (REPOSITORY / "docs" / "aws.md").read_text().partition(HEADING)[2].partition("\n## ")[0]
    rows = [
        [cell.strip(" *") for cell in line.strip("|").split("|")]
        for line in re.findall(r"^\|.*\|$", section, re.MULTILINE)
    ]
    return {row[0]: row[1:] for row in rows}


def number(text: str) -> float:
    return float(text.replace(",", ""))


@pytest.fixture(scope="module")
def by_hand(table: dict[str, list[str]]) -> dict[str, float]:
    """The page's result, item by item, worked out anew from the figures that it gives."""

    def figure(name: str) -> float:
        return number(table[name][0])

    steps = 2 * figure("epochs") * figure("updates in an epoch")
    neurons, trainers = steps * figure("neurons"), steps * figure("layers")

    def gb_seconds(function: str, invocations: float) -> float:
        return invocations * figure(f"{function}: milliseconds") / 1000 * figure(f"{function}: MB") / 1024

    logged = (
        trainers * figure("Trainer: bytes logged")
        + neurons * figure("Neuron: bytes logged")
        + figure("epochs") * figure("metrics: bytes logged")
    )
    items = {
        "Neuron: time": gb_seconds("Neuron", neurons) * figure("US dollars for a GB-second"),
        "Trainer: time": gb_seconds("Trainer", trainers) * figure("US dollars for a GB-second"),
        "invocations": (neurons + trainers) / 1e6 * figure("US dollars for a million invocations"),
        "logs": logged / 2**30 * figure("US dollars for a GB logged"),
    }
    return items | {"together": sum(items.values())}


def estimate(**functions: str) -> Estimate:
    summary = examine_dataset(REPOSITORY / "examples" / "digits" / "datasets.h5")
    settings = parse_settings((REPOSITORY / "parameters.json").read_bytes())
    return CostModel(Job.of(settings, summary), Functions(**functions)).estimate("neuron")


def test_every_sum_on_the_page_is_right(table: dict[str, list[str]], by_hand: dict[str, float]) -> None:
    assert {item: number(table[item][-1]) for item in by_hand} == pytest.approx(by_hand, abs=0.00006)


def test_the_estimate_differs_from_the_calculation_by_less_than_5_percent(by_hand: dict[str, float]) -> None:
    assert estimate().usd == pytest.approx(by_hand["together"], rel=0.05)


def test_the_estimate_counts_what_is_logged(by_hand: dict[str, float]) -> None:
    silent, usual, all_of_it = (estimate(log_level=level).usd for level in ("ERROR", "INFO", "DEBUG"))
    assert usual - silent == pytest.approx(by_hand["logs"], rel=0.05)
    assert all_of_it - usual == pytest.approx(487_600 * 590 / 2**30 * 0.5, rel=0.05)
