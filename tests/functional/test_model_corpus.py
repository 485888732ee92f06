"""Model files from anyone at the trigger of models: each is refused or right, and leaves a record that says why."""

from __future__ import annotations

import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from lnn.data.hdf5 import MAX_CHUNK_BYTES
from lnn.data.inspection import SPARE_BYTES
from lnn.errors import ModelError
from lnn.models.store import digest_of
from lnn.models.validation import CHUNK_COPIES, inspect_model, misfits
from lnn.serving import registration
from lnn.serving.registration import RegistrationServices, model_id_of, register
from lnn.serving.registry import Registry
from support.inprocess_cloud import NAMES, InProcessCloud
from support.model_corpus import ModelCase, corpus, fuzzed

CORPUS_FILES = 60
CORPUS_SEED = int(os.environ.get("LNN_FUZZ_SEED", "1"))
FUZZ_FILES = int(os.environ.get("LNN_FUZZ_FILES", "100"))
SIDE_BY_SIDE = 2
INSPECTION_SECONDS = 10.0
MOST_SECONDS = 2 * INSPECTION_SECONDS
"""A file's inspection, then the read of its model, on a machine that does other things."""
MOST_MIB = (registration.MAX_BYTES + CHUNK_COPIES * MAX_CHUNK_BYTES + SPARE_BYTES) / 2**20 + 100
"""Memory of one inspection: its limit, and Python with the library. A damaged size makes HDF5 ask for all of it."""


@pytest.fixture
def shelf(cloud: InProcessCloud) -> RegistrationServices:
    cloud.dynamodb.create_table(
        TableName=NAMES.models_table,
        KeySchema=[{"AttributeName": "model_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "model_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    registry, services = Registry(cloud.dynamodb, NAMES.models_table), cloud.services
    return RegistrationServices(registry, services.artifacts, services.ledger, services.notifier)


def fault_of(case: ModelCase, cloud: InProcessCloud, shelf: RegistrationServices) -> str | None:
    """What is wrong with what became of an upload."""
    upload = cloud.put("prediction_input/theirs/params.h5", case.content)
    outcome = register(shelf, upload)
    if case.model is None:
        record = shelf.registry.get(model_id_of("refused", digest_of(upload.etag.encode())))
        reason = "" if record is None else record.get("refused", "")
        helps = reason.isprintable() and ("expected" in reason or ";" in reason)
        return None if reason and helps else f"record {record}, outcome {outcome}"
    if not outcome.startswith(("registered as", "known as")):
        return outcome
    loaded = shelf.artifacts.get_registered_model(outcome.split()[-1], digest_of(case.content))
    X = np.random.default_rng(0).random((case.model.features, 5))
    same = np.allclose(loaded.predict_proba(X), case.model.predict_proba(X), rtol=1e-3)
    return None if same and loaded.list_classes == case.model.list_classes else "another model"


@pytest.mark.timeout(600)
def test_every_file_of_the_corpus_is_refused_with_a_reason_or_right(
    cloud: InProcessCloud, shelf: RegistrationServices
) -> None:
    cases = corpus(CORPUS_SEED, CORPUS_FILES)
    faults = [f"{case.name}: {fault}" for case in cases if (fault := fault_of(case, cloud, shelf))]
    assert sum(case.model is None for case in cases) > 40
    assert not faults, "\n".join(faults)
    listed = shelf.registry.list_models()
    assert {model["stage"] for model in listed if model.get("refused")} == {"retired"}
    assert len([model for model in listed if not model.get("refused")]) > 5


@dataclass(frozen=True, slots=True)
class Inspected:
    """How the inspection of a file ended."""

    name: str
    fault: str
    refused: bool
    seconds: float


def inspected(case: ModelCase) -> Inspected:
    start, fault, refused = time.monotonic(), "", False
    try:
        model = inspect_model(case.content, registration.MAX_BYTES, INSPECTION_SECONDS)
        fault = "; ".join(misfits(model))
    except ModelError as error:
        refused = True
        fault = "" if error.problems and str(error).isprintable() else f"a reason that does not help: {error!r}"
    except Exception as crash:  # noqa: BLE001 - whatever it is, the test tells of it
        fault = repr(crash)
    return Inspected(case.name, fault, refused, time.monotonic() - start)


def most_mib_of_children() -> float:
    """The peak of any process that this one has waited for, those of other tests among them."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


@pytest.mark.timeout(120 + 6 * FUZZ_FILES)
def test_a_damaged_model_crashes_nobody_and_takes_bounded_memory_and_time() -> None:
    before = most_mib_of_children()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        ended = list(pool.map(inspected, fuzzed(CORPUS_SEED, FUZZ_FILES)))
    mib = most_mib_of_children()
    slowest = max(ended, key=lambda one: one.seconds)
    refused = sum(one.refused for one in ended)
    print(
        f"{len(ended)} models: {refused} refused, {len(ended) - refused} taken; "
        f"slowest {slowest.seconds:.1f} s, most memory of an inspection {mib:.0f} MiB"
    )
    faults = [f"{one.name}: {one.fault}" for one in ended if one.fault]
    assert not faults, "\n".join(faults)
    assert slowest.seconds < MOST_SECONDS, slowest
    assert mib < max(MOST_MIB, before + 1)
