"""From an upload to a run that is ready to train.

Launch is idempotent: names and contents depend on the upload and on one version of its parameters
alone. The run's record keeps that version from before anything depends on it, so that every Launch
of the upload reads the same. Each write is conditional. After a crash at any line, the next
delivery of the event completes the work.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lnn.aws.clocks import moment
from lnn.aws.events import Upload
from lnn.data.dataset import (
    DatasetSummary,
    examples_per_shard,
    feature_shards,
    inspect_dataset,
    load_preprocessing,
    standardize,
)
from lnn.data.in_memory import TEST_X, TEST_Y, TRAIN_W, TRAIN_X, TRAIN_Y, VALIDATION_X, VALIDATION_Y
from lnn.data.known_datasets import KnownDatasets
from lnn.data.parts import Part, parts_of
from lnn.data.preprocessing import PREPROCESSING
from lnn.data.uploads import Description, ParametersVersion, UploadReader
from lnn.errors import InputError, InspectionFailed, NonRetryable, StaleGeneration
from lnn.job.hyperparameters import Settings, parse_settings
from lnn.job.plan import Plan, Split
from lnn.messages import Message
from lnn.models.checkpoint import Checkpoint
from lnn.names import TRAINING_INPUT
from lnn.network import init_parameters, new_slots, variation_of
from lnn.network.types import Parameters
from lnn.planning.feasibility import check_settings_fit, class_weights
from lnn.planning.planner import Decision, choose
from lnn.planning.workload import Functions
from lnn.runs.finalize import end_without_model
from lnn.runs.record import Run
from lnn.runs.services import Services
from lnn.runs.stopping import Ending

if TYPE_CHECKING:
    from lnn.runs.attributes import Dataset, Dimensions, Facts

logger = logging.getLogger(__name__)

BLOCK_SHARE = 1 / 8
"""Share of Launch's memory for the largest block that must be read at once; unpacking makes several copies of it."""


MODEL_SHARE = 1 / 6
"""Share of Launch's memory for the file of the model that a run begins with, and for its arrays."""

known = KnownDatasets()
"""Of this process: a warm function does not check the copies of one dataset again."""


def launch(services: Services, inbox: UploadReader, upload: Upload, memory_mb: int) -> str:
    """Open a run for ``upload``, check the dataset, and start training; return the outcome in a word.

    ``memory_mb`` is this function's own memory. Bad input ends the run as FAILED, with every problem in its reason.
    """
    if not upload.key.startswith(TRAINING_INPUT) or not upload.key.endswith(".h5"):
        return "ignored"
    run_id = upload.run_id
    dataset: Dataset = {
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": upload.version_id,
        "etag": upload.etag,
        "sequencer": upload.sequencer,
        "event_time": upload.event_time,
    }
    services.ledger.open_run(run_id, dataset_key=upload.key, dataset=dataset)
    run = services.ledger.get_run(run_id)
    if run is None or run.status != "PENDING" or run.generation > 0:
        return "duplicate"
    try:
        if not run.is_prepared:
            prepare(services, inbox, upload, run, memory_mb)
        services.invoker.invoke_trainer(Message(run_id, 1, "start"))
    except (InputError, InspectionFailed, NonRetryable) as error:
        end_without_model(services, run_id, 0, Ending("FAILED", str(error)))
        return "refused"
    except StaleGeneration:
        return "duplicate"
    except MemoryError:
        reason = (
            f"the dataset does not fit the Launch function's {memory_mb} MB; raise functions.launch.memory in Terraform"
        )
        end_without_model(services, run_id, 0, Ending("FAILED", reason))
        return "refused"
    launched = services.ledger.get_run(run_id)
    if launched is not None:
        services.notifier.started(launched)
    return "launched"


def prepare(services: Services, inbox: UploadReader, upload: Upload, run: Run, memory_mb: int) -> None:
    """Validate, preprocess, initialize. Raises InputError with every problem of dataset and parameters."""
    run_id = run.run_id
    described = inbox.describe(upload)
    problems: list[str] = []
    settings = None
    try:
        version = parameters_version(services, inbox, upload, run, described)
        settings = parse_settings(inbox.read_parameters(upload, version))
    except InputError as error:
        problems += error.problems
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "datasets.h5"
        try:
            inbox.fetch_dataset(upload, path, shutil.disk_usage(folder).free)
            limit = int(memory_mb * BLOCK_SHARE * 2**20)
            summary = known.summary(path, limit, lambda file, most: inspect_dataset(file, block_limit=most))
        except InputError as error:
            raise InputError([*problems, *error.problems]) from error
        if settings is None:
            raise InputError(problems)
        check_settings_fit(settings, summary)
        decision = choose(settings, summary, Functions.of(services.environment))
        parts = parts_of(path, summary, settings.validation, settings.seed)
        plan = plan_of(settings, summary, decision, parts)
        # Before anything is stored: a model that does not fit is refused like a dataset that does not.
        parameters, odd = first_parameters(services, plan, settings, memory_mb)
        store_dataset(services, run_id, plan, path, parts)
        dimensions = dimensions_of(summary, plan, parts)
    key = store_first_checkpoint(services, run_id, plan, parameters)
    warnings = [*summary.warnings, *decision.warnings, *odd]
    services.ledger.describe(
        run_id,
        once="checkpoint",
        settings=settings.to_dict(),
        plan=plan.as_json(),
        dimensions=dimensions,
        warnings=warnings,
        strategy=decision.strategy,
        strategy_reason=decision.reason,
        workers=decision.workers,
        estimate=decision.expected,
        epochs=settings.epochs,
        launched_at=moment(),
        checkpoint={"epoch": 0, "key": key},
    )
    for warning in warnings:
        logger.warning("dataset or parameters are odd", extra={"run_id": run_id, "why": warning})
    logger.info("run prepared", extra={"run_id": run_id, "strategy": decision.strategy, "why": decision.reason})


def dimensions_of(summary: DatasetSummary, plan: Plan, parts: Mapping[Split, Part]) -> Dimensions:
    """The sizes that a run's record has."""
    dimensions: Dimensions = {
        "features": summary.features,
        "examples": plan.examples,
        "test_examples": plan.test_examples,
        "classes": summary.classes,
        "sizes": plan.sizes,
    }
    if plan.validation_examples:
        dimensions["validation_examples"] = plan.validation_examples
    if summary.targets:
        dimensions["targets"] = summary.targets
    else:
        dimensions["class_counts"] = {
            split: np.bincount(part.y, minlength=len(summary.classes)).tolist() for split, part in parts.items()
        }
    return dimensions


def parameters_version(
    services: Services, inbox: UploadReader, upload: Upload, run: Run, described: Description
) -> ParametersVersion:
    """The version of ``parameters.json`` that every Launch of this upload reads: the one that the first has found.

    Raises SettingsError when there is none.
    """
    if run.parameters_file is None:
        facts: Facts = {"upload_started_at": described.began_at}
        try:
            found = inbox.find_parameters(upload, described.parameters_version)
        except InputError:
            services.ledger.describe(run.run_id, **facts)
            raise
        facts["parameters_file"] = {"version_id": found.version_id, "etag": found.etag}
        if services.ledger.describe(run.run_id, once="parameters_file", **facts):
            return found
        run = services.ledger.get_run(run.run_id) or run
        if run.parameters_file is None:
            raise StaleGeneration(f"run {run.run_id} has ended")
    return ParametersVersion(run.parameters_file["version_id"], run.parameters_file["etag"])


def plan_of(settings: Settings, summary: DatasetSummary, decision: Decision, parts: Mapping[Split, Part]) -> Plan:
    """The plan: the settings, the dataset's dimensions and the planner's decision."""
    decoupled = settings.optimizer == "adamw"
    return Plan(
        sizes=[summary.features, *settings.sizes],
        activations=settings.activation_list,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        optimizer=settings.optimizer,
        l2=0.0 if decoupled else settings.l2,
        dtype=settings.dtype_for(summary.dtype),
        seed=settings.seed,
        threshold=settings.threshold,
        record_every=settings.record_every,
        checkpoint_seconds=settings.checkpoint_seconds,
        notify_every=settings.notify_every,
        max_seconds=settings.max_seconds,
        max_usd=settings.max_usd,
        examples=len(parts["train"].y),
        test_examples=len(parts["test"].y),
        validation_examples=len(parts["validation"].y) if "validation" in parts else 0,
        patience=settings.patience,
        min_delta=settings.min_delta,
        keep=settings.keep,
        list_classes=summary.classes,
        image_shape=list(summary.image_shape) if summary.image_shape else None,
        scale=summary.scale,
        strategy=decision.strategy,
        workers=decision.workers,
        shard_rows=examples_per_shard(summary),
        formulation=decision.formulation,
        average_every=settings.average_every,
        value_range=list(summary.value_range) if summary.value_range else None,
        border=list(summary.border) if summary.border else None,
        preprocessed=bool(summary.columns),
        **settings.constants,
        weight_decay=settings.l2 if decoupled else 0.0,
        schedule=settings.schedule,
        loss=settings.loss_name,
        list_targets=summary.targets,
        variation={split: variation_of(part.y) if summary.targets else [] for split, part in parts.items()},
        class_weight=class_weights(settings, summary.classes, parts["train"].y),
        weighted_examples=parts["train"].weights is not None,
        clip_norm=settings.clip_norm,
        dropout_rates=settings.dropout_rates,
        stepped=settings.step,
        timeline=settings.snapshots > 0,
    )


TENSORS: Mapping[Split, tuple[str, str]] = {
    "train": (TRAIN_X, TRAIN_Y),
    "validation": (VALIDATION_X, VALIDATION_Y),
    "test": (TEST_X, TEST_Y),
}
"""Names under which a part's features and labels are stored."""


def store_dataset(services: Services, run_id: str, plan: Plan, path: Path, parts: Mapping[Split, Part]) -> None:
    """Put labels and features into S3, the features in shards. Raises DatasetError if a value overflows the dtype."""
    for part in parts.values():
        for shard in feature_shards(path, part.features, plan.sizes[0], plan.shard_rows, part.chosen):
            if shard.dtype.itemsize <= np.dtype(plan.dtype).itemsize:
                break
            # Workers standardize the shards; this only checks, before anything is stored, that they can.
            standardize(shard, plan.scale, np.empty(shard.shape, plan.dtype))
    for split, part in parts.items():
        services.artifacts.put_tensor(run_id, TENSORS[split][1], part.y)
        if part.weights is not None:
            services.artifacts.put_tensor(run_id, TRAIN_W, part.weights)
    if (preprocessing := load_preprocessing(path)) is not None:
        services.artifacts.put_tensor(run_id, PREPROCESSING, preprocessing.encode())
    for split, part in parts.items():
        shards = feature_shards(path, part.features, plan.sizes[0], plan.shard_rows, part.chosen)
        for index, shard in enumerate(shards):
            services.artifacts.put_shard(run_id, TENSORS[split][0], index, shard)


def first_parameters(
    services: Services, plan: Plan, settings: Settings, memory_mb: int
) -> tuple[Parameters, list[str]]:
    """The parameters that training begins with, and warnings about them. Raises SettingsError."""
    drawn = init_parameters(plan.sizes, plan.activations, settings.weight_init, plan.seed, plan.dtype)
    if settings.initial_model is None:
        return drawn, []
    from lnn.models.initial_model import initial_parameters  # few runs begin with a model, and cold starts pay for it

    # Beside what is drawn there are the file, its arrays, and those in the run's dtype.
    max_bytes = int(memory_mb * MODEL_SHARE * 2**20)
    replace = settings.replace_output
    return initial_parameters(
        services.artifacts, settings.initial_model, plan, drawn, max_bytes, replace_output=replace
    )


def store_first_checkpoint(services: Services, run_id: str, plan: Plan, parameters: Parameters) -> str:
    """Put the parameters to begin with into S3; returns the checkpoint's key."""
    slots = new_slots(parameters, plan.update_rule)
    return services.artifacts.put_checkpoint(run_id, 0, Checkpoint(0, parameters, slots))
