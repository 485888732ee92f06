"""``lnn evaluate``: accuracy, confusions and the worst mistakes, here or through the API."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from lnn.aws.events import HttpRequest
from lnn.models.evaluation import evaluate
from lnn.models.model_file import Model, encode_model
from lnn.serving.api import PredictionApi
from lnn.serving.registry import Registry
from lnn.serving.rollout import Current
from lnn_client.prediction_api import Answer
from support.models import Shelves, brightness_model

if TYPE_CHECKING:
    from support.aws_account import RunCli, World

MODELS_TABLE = "lnn-models"
MODEL = "run-old-00000001"
LEVELS, LABELS = [10, 20, 240, 250, 200, 128], [0, 0, 1, 1, 0, 0]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Six test pictures of one gray each; the last two are called dark, and are not."""
    path = tmp_path / "grays.h5"
    with h5py.File(path, "w") as file:
        file["train_set_x"] = np.full((2, 4, 4), 10, np.uint8)
        file["train_set_y"] = [0, 1]
        file["test_set_x"] = np.stack([np.full((4, 4), level, np.uint8) for level in LEVELS])
        file["test_set_y"] = LABELS
        file["list_classes"] = [b"dark", b"light"]
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "params.h5"
    path.write_bytes(encode_model(brightness_model()))
    return path


def test_accuracy_confusions_and_the_worst_mistakes_first(cli: RunCli, examples: Path, model: Path) -> None:
    result = cli("evaluate", examples, "--model", model, "--json")
    found = json.loads(result.stdout)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["examples"] == 6
    assert found["confusion"] == [[2, 2], [0, 2]]
    assert [mistake["example"] for mistake in found["mistakes"]] == [4, 5]
    worst = found["mistakes"][0]
    light = 1 / (1 + np.exp(-20 * (200 / 255 - 0.5)))
    assert (worst["label"], worst["predicted"]) == ("dark", "light")
    assert worst["probability"] == pytest.approx(light)
    assert worst["probability_of_label"] == pytest.approx(1 - light)


def test_the_table_shows_the_same(cli: RunCli, examples: Path, model: Path) -> None:
    output = cli("evaluate", examples, "--model", model, "--worst", "1").stdout
    assert "66.7% of 6 examples (95% interval 30.0% to 90.3%)" in output
    assert "base rate          66.7%, by always answering dark" in output
    assert "balanced accuracy  75.0%" in output
    rows = [line.split() for line in output.splitlines()]
    assert ["dark", "4", "2", "100.0%", "50.0%", "66.7%", "100.0%"] in rows
    assert ["light", "2", "4", "50.0%", "100.0%", "66.7%", "100.0%"] in rows
    assert ["90%", "to", "100%", "5", "99.9%", "80.0%"] in rows
    headings = ["example", "true", "predicted", "p(predicted)", "p(true)"]
    assert rows[rows.index(["worst", "mistakes"]) + 1] == headings
    assert output.splitlines()[-1].split()[:3] == ["4", "dark", "light"]


def test_a_model_that_does_not_beat_the_base_rate_says_so(cli: RunCli, examples: Path, model: Path) -> None:
    assert (
        "no better than always answering 'dark' (66.7%), by accuracy"
        in cli("evaluate", examples, "--model", model).stderr
    )
    with h5py.File(examples, "a") as file:
        file["test_set_y"][...] = [0, 1, 0, 1, 0, 0]
    result = cli("evaluate", examples, "--model", model)
    assert "the model is no better than always answering 'dark' (66.7%)\n" in result.stderr
    found = json.loads(cli("evaluate", examples, "--model", model, "--json").stdout)
    assert (found["beats_base_rate"], found["remark"]) == (False, "no better than always answering 'dark' (66.7%)")


def test_json_has_every_figure(cli: RunCli, examples: Path, model: Path) -> None:
    found = json.loads(cli("evaluate", examples, "--model", model, "--json").stdout)
    assert found["accuracy_interval"] == pytest.approx([0.29999, 0.90323], abs=1e-5)
    assert (found["base_rate"], found["most_frequent"]) == (pytest.approx(4 / 6), "dark")
    assert found["balanced_accuracy"] == 0.75
    assert (found["roc_auc"], found["average_precision"]) == (1.0, 1.0)  # the order is right, the threshold is not
    assert [one["recall"] for one in found["by_class"]] == [0.5, 1.0]
    assert sum(one["examples"] for one in found["reliability"]) == 6
    assert {"log_loss", "calibration_error"} <= found.keys()


def test_of_many_classes_those_that_are_found_least_are_shown(cli: RunCli, tmp_path: Path) -> None:
    """One-hot rows through the identity: each class is found, but that of the last row."""
    names = [f"c{index:02d}" for index in range(25)]
    with h5py.File(tmp_path / "many.h5", "w") as file:
        file["train_set_x"] = np.eye(25)
        file["train_set_y"] = np.arange(25)
        file["test_set_x"] = np.eye(25)
        file["test_set_y"] = [*range(24), 0]
        file["list_classes"] = [name.encode() for name in names]
    network = Model([(20 * np.eye(25), np.zeros((25, 1)))], "run", ["softmax"], names, None, 1.0)
    (tmp_path / "identity.h5").write_bytes(encode_model(network))
    output = cli("evaluate", tmp_path / "many.h5", "--model", tmp_path / "identity.h5").stdout
    assert "by class: the 20 of lowest recall" in output
    first = output.splitlines()[output.splitlines().index("by class: the 20 of lowest recall") + 2]
    assert first.split() == ["c00", "2", "1", "100.0%", "50.0%", "66.7%"]


def test_the_training_examples_can_be_asked_for(cli: RunCli, examples: Path, model: Path) -> None:
    found = json.loads(cli("evaluate", examples, "--model", model, "--split", "train", "--json").stdout)
    assert (found["examples"], found["accuracy"]) == (2, 0.5)


@pytest.mark.parametrize("floats", [False, True])
def test_the_api_is_asked_example_by_example_and_gives_the_same(
    cli: RunCli, world: World, examples: Path, model: Path, monkeypatch: pytest.MonkeyPatch, floats: bool
) -> None:
    if floats:
        with h5py.File(examples, "a") as file:
            pixels = file["test_set_x"][()]
            del file["test_set_x"]
            file["test_set_x"] = pixels.astype(np.float64)
            del file["train_set_x"]
            file["train_set_x"] = np.stack([np.full((4, 4), 10.0), np.full((4, 4), 250.0)])
    registry = Registry(world.ledger._client, MODELS_TABLE)
    registry.add({"model_id": MODEL, "uploaded_at": 1.0}, "registration")
    registry.promote(MODEL, "ada")
    api = PredictionApi(Shelves({MODEL: brightness_model()}, Current(1, MODEL)).serving(), Path())
    kinds = set()

    class Gateway:
        def __init__(self, cloud: Any) -> None:
            pass

        def call(self, method: str, path: str, body: bytes, kind: str) -> Answer:
            kinds.add(kind)
            route, _, wanted = path.partition("?model=")
            text = base64.b64encode(body).decode()
            request = HttpRequest(method, f"/{route}", {"model": wanted}, {"content-type": kind}, text, is_base64=True)
            reply = api.answer(request)
            return Answer(reply.status, reply.headers, reply.body.encode())

    monkeypatch.setattr("lnn_client.evaluations.Api", Gateway)
    remote = json.loads(cli("evaluate", examples, "--api", "--json").stdout)
    local = json.loads(cli("evaluate", examples, "--model", model, "--json").stdout)
    assert kinds == {"image/png"}
    assert remote["model"] == MODEL
    assert remote["confusion"] == local["confusion"] == [[2, 2], [0, 2]]


def test_a_dataset_of_other_classes_is_refused(cli: RunCli, examples: Path, tmp_path: Path) -> None:
    other = brightness_model()
    other.list_classes[:] = ["cat", "dog"]
    path = tmp_path / "other.h5"
    path.write_bytes(encode_model(other))
    result = cli("evaluate", examples, "--model", path)
    assert result.exit_code == 1
    assert "knows 2 classes (cat, dog)" in result.stderr


def test_examples_that_all_come_out_right_have_no_mistakes() -> None:
    probabilities = np.array([[0.9, 0.2], [0.1, 0.8]])
    found = evaluate(["a", "b"], probabilities, np.array([0, 1]), worst=5)
    assert (found.accuracy, found.confusion, found.mistakes) == (1.0, [[1, 0], [0, 1]], [])
