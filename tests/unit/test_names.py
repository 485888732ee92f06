"""Names that others rely on: the deployment's resources, and the keys in its bucket."""

from __future__ import annotations

from itertools import product

import pytest

from lnn import names
from lnn.names import Names

NAMES = Names("lnn", "123456789012", "eu-central-1")


def test_resources_are_named_after_the_prefix() -> None:
    assert NAMES.bucket == "lnn-123456789012-eu-central-1"
    assert (NAMES.runs_table, NAMES.costs_table) == ("lnn-runs", "lnn-costs")
    assert (NAMES.invocations_table, NAMES.models_table) == ("lnn-invocations", "lnn-models")
    assert (NAMES.launch, NAMES.trainer, NAMES.neuron) == ("lnn-launch", "lnn-trainer", "lnn-neuron")
    assert NAMES.topic == "arn:aws:sns:eu-central-1:123456789012:lnn-events"
    assert NAMES.cache == "lnn-cache"
    assert NAMES.log_group("trainer") == "/aws/lambda/lnn-trainer"


def test_the_bucket_is_laid_out_as_documented() -> None:
    assert names.params_key("RUN") == "prediction_input/RUN/params.h5"
    assert names.results_key("RUN") == "training_results/RUN/results.json"
    assert names.LATEST_PARAMS == "prediction_input/params.h5"
    assert names.LATEST_RESULTS == "training_results/results.json"
    assert names.s3_uri("bucket", "a/b c") == "s3://bucket/a/b c"
    part = names.part_key("a" * 64, "0" * 64)
    assert part == f"prediction_input/batches/{'a' * 64}/{'0' * 64}.npy"
    assert names.prediction_key(part) == f"prediction_output/{'a' * 64}/{'0' * 64}.npy"
    assert names.batch_model_key("a" * 64) == f"prediction_input/batches/{'a' * 64}/model"


def test_a_part_s_key_alone_has_the_digests_of_its_model_and_its_own() -> None:
    model, part = "a" * 64, "0" * 64
    key = names.part_key(model, part)
    assert names.place_of_part(key) == (model, part)
    for other in (key.upper(), f"{key}\n", f"x{key}", key.replace("batches", "models"), names.batch_model_key(model)):
        assert names.place_of_part(other) is None


@pytest.mark.parametrize(
    ("dataset", "parameters"),
    [
        ("training_input/datasets.h5", "training_input/parameters.json"),
        ("training_input/my job/cats.h5", "training_input/my job/parameters.json"),
        ("training_input/a/b/c.h5", "training_input/a/b/parameters.json"),
        ("datasets.h5", "parameters.json"),
    ],
)
def test_parameters_are_looked_for_in_the_dataset_s_own_folder(dataset: str, parameters: str) -> None:
    assert names.parameters_key(dataset) == parameters


def test_everything_of_a_run_lies_under_its_own_prefix_which_expires() -> None:
    assert names.tensor_key("RUN", "train_y").startswith("runs/RUN/")
    assert names.shard_key("RUN", "train_x", 3) == "runs/RUN/tensors/train_x/00003.npy"
    assert names.checkpoint_key("RUN", 1, 2).startswith("runs/RUN/")


def test_no_two_checkpoints_of_a_run_share_a_key() -> None:
    keys = [names.checkpoint_key("RUN", *place) for place in product(range(12), range(12), range(12))]
    assert len(set(keys)) == len(keys)


def test_checkpoints_sort_by_generation_epoch_and_batch() -> None:
    places = ((1, 9), (1, 9, 8), (1, 9, 70_000), (1, 10), (2, 9), (10, 1), (10, 1_000_000))
    keys = [names.checkpoint_key("RUN", *place) for place in places]
    assert keys == sorted(keys)
