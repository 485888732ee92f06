"""What a training would take, in every way to run it."""

import os
from collections.abc import Iterator
from dataclasses import replace

from lnn.data.dataset import DatasetSummary
from lnn.environment import architecture
from lnn.job.hyperparameters import Settings
from lnn.planning.cost_model import CostModel, Estimate
from lnn.planning.planner import WORKER_COUNTS
from lnn.planning.rates import AWS, local
from lnn.planning.workload import Functions, Job
from lnn_client.calibration import in_order
from lnn_client.cloud import Target

LOCAL_MAX_WORKERS, LOCAL_LOG_LEVEL = 2, "DEBUG"
"""As in terraform/local.tfvars."""


def cost_model(
    target: Target,
    settings: Settings,
    summary: DatasetSummary,
    trainer_memory: int | None = None,
    neuron_memory: int | None = None,
    max_workers: int | None = None,
) -> CostModel:
    """The cost model of a job on a target: with Terraform's defaults, but for what is given (memory in MB)."""
    sizes, rates = Functions(), AWS
    if target is Target.LOCAL:
        rates = local(os.cpu_count() or 1)
        sizes = replace(
            sizes,
            max_workers=LOCAL_MAX_WORKERS,
            neuron_window=4,
            architecture=architecture(),
            log_level=LOCAL_LOG_LEVEL,
        )
    sizes = replace(
        sizes,
        trainer_memory_mb=trainer_memory or sizes.trainer_memory_mb,
        neuron_memory_mb=neuron_memory or sizes.neuron_memory_mb,
        max_workers=max_workers or sizes.max_workers,
    )
    return CostModel(Job.of(settings, summary), sizes, rates)


def estimates(model: CostModel) -> Iterator[Estimate]:
    """Every strategy, with every number of workers where it has some."""
    for strategy in in_order():
        for workers in WORKER_COUNTS if strategy.takes_workers else (1,):
            yield model.estimate(strategy.name, workers)


def matters(found: Estimate, rows: list[Estimate], max_workers: int) -> bool:
    """False for an estimate with more workers than may be chosen that is slower than one with fewer."""
    fewer = [other.seconds_total for other in rows if other.strategy == found.strategy and other.fits]
    return found.workers <= max_workers or (found.fits and found.seconds_total <= min(fewer))
