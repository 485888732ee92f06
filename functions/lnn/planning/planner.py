"""``auto``: which strategy, and how many workers, run a training fastest among those that fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lnn.data.dataset import DatasetSummary
from lnn.errors import SettingsError
from lnn.job.hyperparameters import MAX_WORKERS, Settings
from lnn.planning.cost_model import CostModel, Estimate, about
from lnn.planning.workload import Functions, Job
from lnn.strategies.registry import AUTO, STEPPED, STRATEGIES

if TYPE_CHECKING:
    from lnn.runs.attributes import Estimate as Expected

WORKER_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Numbers of workers that are looked at."""

CLOSE = 1.1
"""Among ways that are at most so many times slower than the fastest, the cheapest is taken."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The way a run will go, why, in a sentence, and what it is expected to take."""

    chosen: Estimate
    reason: str
    asked_workers: int | None = None

    @property
    def warnings(self) -> list[str]:
        """What else there is to say to whoever asked for something else."""
        asked = self.asked_workers
        if asked is None or not takes_workers(self.strategy) or asked <= self.workers:
            return []
        return [f"workers: found {asked}; the run has {self.workers}, since more would have nothing to do"]

    @property
    def strategy(self) -> str:
        return self.chosen.strategy

    @property
    def workers(self) -> int:
        return self.chosen.workers

    @property
    def formulation(self) -> str:
        return self.chosen.formulation

    @property
    def expected(self) -> Expected:
        """What is stored with the run, to be compared with what it took."""
        return {"seconds": self.chosen.seconds_total, "usd": self.chosen.usd}


def choose(settings: Settings, summary: DatasetSummary, functions: Functions) -> Decision:
    """The strategy that was asked for, or the fastest that fits.

    Raises SettingsError, which says what to change, when nothing fits.
    """
    decision = decide(settings, CostModel(Job.of(settings, summary), functions))
    return replace(decision, asked_workers=settings.workers)


def decide(settings: Settings, model: CostModel) -> Decision:
    """``choose`` by the estimates of ``model``. Raises SettingsError."""
    if settings.step:
        settings = settings.model_copy(update={"strategy": STEPPED})  # no other one waits at its barriers
    if settings.strategy != AUTO and (not takes_workers(settings.strategy) or settings.workers is not None):
        return _as_asked(settings, model)
    found = candidates(settings, model)
    fitting = [estimate for estimate in found if estimate.fits]
    if not fitting:
        raise SettingsError(_nothing_fits(settings, model, found))
    inside = [estimate for estimate in fitting if not _over_limit(settings, estimate)]
    chosen = _cheapest_of_the_fastest(inside or fitting)
    if settings.strategy != AUTO:
        what = f"as asked for in parameters.json; of its numbers of workers {chosen.workers} is estimated best"
        reason = f"{what}: {_figures(chosen)}"
    else:
        reason = f"{name(chosen)} is estimated at {_figures(chosen)}{_others(chosen, found, settings)}"
    if not inside:
        reason += f"; it may be stopped by {_over_limit(settings, chosen)}"
    return Decision(chosen, reason)


def candidates(settings: Settings, model: CostModel) -> list[Estimate]:
    """Every way that ``auto``, or a strategy without a number of workers, may take; whether it fits or not."""
    strategies = STRATEGIES if settings.strategy == AUTO else (settings.strategy,)
    return [
        model.estimate(strategy, workers)
        for strategy in strategies
        for workers in worker_counts(strategy, settings.workers, model)
    ]


def worker_counts(strategy: str, asked: int | None, model: CostModel) -> Iterable[int]:
    """Numbers of workers to look at: the one asked for, or those up to the deployment's ``max_workers``."""
    if not takes_workers(strategy):
        return (1,)
    most, _ = model.costs(strategy).work()
    if asked is not None:
        return (min(asked, most),)
    functions = model.functions
    allowed = min(most, functions.max_workers, functions.neuron_concurrency or most)
    return [count for count in WORKER_COUNTS if count <= allowed]


def takes_workers(strategy: str) -> bool:
    return STRATEGIES[strategy].takes_workers


def name(estimate: Estimate) -> str:
    """``fused``, or ``resident with 4 workers``."""
    if not takes_workers(estimate.strategy):
        return estimate.strategy
    return f"{estimate.strategy} with {estimate.workers} worker{'s' if estimate.workers > 1 else ''}"


def _as_asked(settings: Settings, model: CostModel) -> Decision:
    most, things = model.costs(settings.strategy).work()
    asked = (settings.workers or 1) if takes_workers(settings.strategy) else 1
    estimate = model.estimate(settings.strategy, min(asked, most))
    concurrency = model.functions.neuron_concurrency
    if concurrency and takes_workers(settings.strategy) and estimate.workers > concurrency:
        raise SettingsError(_too_many_workers(estimate.workers, concurrency))
    if not estimate.fits and not estimate.depends_on_cache:
        raise SettingsError(_nothing_fits(settings, model, [estimate]))
    reason = "as asked for in parameters.json"
    if asked > most:
        reason += f", with {most} workers instead of {asked}: there are {most} {things}"
    return Decision(estimate, f"{reason}; estimated at {_figures(estimate)}")


def _too_many_workers(workers: int, concurrency: int) -> str:
    return (
        f"workers: found {workers}; expected at most {concurrency}, the Neurons that this deployment runs at once, or "
        "null; to run more, raise functions.neuron.reserved_concurrency or account_concurrency in Terraform "
        '(docs/aws.md, "Accounts with low concurrency")'
    )


def _cheapest_of_the_fastest(estimates: list[Estimate]) -> Estimate:
    fastest = min(estimate.seconds_total for estimate in estimates)
    close = [estimate for estimate in estimates if estimate.seconds_total <= CLOSE * fastest]
    return min(close, key=lambda estimate: estimate.usd)


def _over_limit(settings: Settings, estimate: Estimate) -> str:
    """The limits that a run would reach before its end, empty if none."""
    limits = []
    if settings.max_seconds is not None and estimate.seconds_training > settings.max_seconds:
        limits.append(f"max_seconds ({settings.max_seconds:g})")
    if settings.max_usd is not None and estimate.usd > settings.max_usd:
        limits.append(f"max_usd ({settings.max_usd:g})")
    return " and ".join(limits)


def _others(chosen: Estimate, found: list[Estimate], settings: Settings) -> str:
    """What the best way of every other strategy would take, or why there is none."""
    parts = []
    for strategy in STRATEGIES:
        if strategy == chosen.strategy:
            continue
        ways = [estimate for estimate in found if estimate.strategy == strategy]
        fitting = [estimate for estimate in ways if estimate.fits]
        if not fitting:
            parts.append(f"{strategy} does not fit ({ways[-1].reason})")
            continue
        best = min(fitting, key=lambda estimate: estimate.seconds_total)
        over = _over_limit(settings, best)
        parts.append(f"{name(best)} at {_figures(best)}" + (f", over {over}" if over else ""))
    return "".join(f"; {part}" for part in parts)


def _nothing_fits(settings: Settings, model: CostModel, found: list[Estimate]) -> str:
    """One message: what is in the way of each strategy, and what to change."""
    reasons = {estimate.strategy: f"{name(estimate)}: {estimate.reason}" for estimate in found}
    ways = ["raise the functions' sizes in Terraform", "smaller layers or batches"]
    if model.job.dtype == "float64":
        ways.insert(1, 'use "dtype": "float32"')
    for strategy in STRATEGIES.values():
        if strategy.remedy:
            most = min(MAX_WORKERS, model.costs(strategy.name).work()[0])
            if not model.estimate(strategy.name, most).fits:
                continue
            if settings.strategy in (AUTO, strategy.name):
                ways.insert(0, f'ask for more "workers" with "strategy": "{strategy.name}" (up to {MAX_WORKERS})')
            else:
                ways.insert(0, f'use "strategy": "{strategy.name}", which {strategy.remedy}')
    if settings.strategy != AUTO and any(
        estimate.fits for estimate in candidates(settings.model_copy(update={"strategy": AUTO}), model)
    ):
        ways.insert(0, 'use "strategy": "auto"')
    return (
        f"strategy: nothing fits this deployment: {'; '.join(reasons.values())}. To change that: {', or '.join(ways)}"
    )


def _figures(estimate: Estimate) -> str:
    return f"{about(estimate.seconds_total)} and ${estimate.usd:.2g}"
