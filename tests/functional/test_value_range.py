"""The same pictures, stored on different scales: from upload to model, and through every way to a prediction."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from lnn.aws.events import HttpRequest
from lnn.data.validation import examine_dataset
from lnn.models.model_file import load_model
from lnn.names import params_key
from lnn.serving.api import PredictionApi
from lnn.serving.rollout import Current
from lnn_cli.main import app
from lnn_client.prediction_api import Answer
from support.inprocess_cloud import InProcessCloud
from support.models import Shelves
from support.scaled_digits import DIGITS, PARAMETERS, STORED, picture_files, write_digits

TESTS = 25
MODEL = "20260102T030405Z-aaaaaaaa-11111111"

pytestmark = [pytest.mark.usefixtures("_datasets_are_checked_in_this_process"), pytest.mark.timeout(600)]


def lnn(*arguments: object) -> Any:
    """What the command prints as JSON."""
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


class Gateway:
    """The prediction API in this process, with one model in production, in place of ``prediction_api.Api``."""

    def __init__(self, content: bytes) -> None:
        self._api = PredictionApi(Shelves({MODEL: load_model(content)}, Current(1, MODEL)).serving(), Path())

    def call(self, method: str, path: str, body: bytes, kind: str) -> Answer:
        text = base64.b64encode(body).decode()
        route = path.partition("?")[0]
        reply = self._api.answer(HttpRequest(method, f"/{route}", {}, {"content-type": kind}, text, is_base64=True))
        return Answer(reply.status, reply.headers, reply.body.encode())


@pytest.fixture
def trained(cloud: InProcessCloud, tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    """For each way to store the digits: the dataset, and the model that a run from its upload to its end has made."""
    made = {}
    for number, way in enumerate(STORED):
        dataset = write_digits(tmp_path / f"{number}.h5", way, TESTS)
        upload = cloud.upload(dataset.read_bytes(), PARAMETERS)
        assert cloud.launch(upload) == "launched", cloud.run(upload.run_id)
        run = cloud.run_to_end(upload.run_id)
        assert run.status == "COMPLETED", run
        model = tmp_path / f"params-{number}.h5"
        model.write_bytes(cloud.read(params_key(run.run_id)))
        made[way] = dataset, model
    return made


def test_pictures_of_every_scale_make_one_model_and_one_prediction_by_every_way(
    cloud: InProcessCloud, trained: dict[str, tuple[Path, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = []
    for number, content in enumerate(picture_files(TESTS)):
        files.append(tmp_path / f"{number:02d}.png")
        files[-1].write_bytes(content)
    with h5py.File(DIGITS) as digits:
        labels = digits["test_set_y"][...].ravel()[:TESTS]
    _, reference = trained["uint8"]
    expected = [said["probabilities"] for said in lnn("predict", *files, "--model", reference)]
    names = list(expected[0])
    predicted = [max(one, key=one.__getitem__) for one in expected]
    wrong = {number for number, name in enumerate(predicted) if name != names[labels[number]]}
    assert len(wrong) < TESTS / 6

    for way, (_, model) in trained.items():
        tolerance = 1e-3 if way == "float32 of 0 to 1" else 1e-12  # x / 255 in float32 is another number
        gateway = Gateway(model.read_bytes())
        said = [one["probabilities"] for one in lnn("predict", *files, "--model", model)]
        answered = [
            gateway.call("POST", "predict", file.read_bytes(), "image/png").json()["probabilities"] for file in files
        ]
        for one, other, third in zip(expected, said, answered, strict=True):
            assert other == pytest.approx(one, abs=tolerance), way
            assert third == pytest.approx(one, abs=tolerance), way

    # A dataset on any scale is evaluated as the pictures that it holds, whatever scale the model learned from.
    monkeypatch.setattr(
        "lnn_cli.commands.evaluate.connect", lambda *_: SimpleNamespace(find_model=lambda _: {"model_id": MODEL})
    )
    monkeypatch.setattr("lnn.data.dataset.inspect_dataset", examine_dataset)
    for way, (_, model) in trained.items():
        gateway = Gateway(model.read_bytes())
        monkeypatch.setattr("lnn_client.evaluations.Api", lambda _, gateway=gateway: gateway)
        for stored, (dataset, _) in trained.items():
            for through in (["--model", model], ["--api"]):
                found = lnn("evaluate", dataset, *through, "--worst", TESTS)
                assert {mistake["example"] for mistake in found["mistakes"]} == wrong, (way, stored, through)
                assert found["accuracy"] == pytest.approx(1 - len(wrong) / TESTS)


def test_float_pictures_of_0_to_255_train_to_the_bits_of_uint8(trained: dict[str, tuple[Path, Path]]) -> None:
    models = {way: load_model(model) for way, (_, model) in trained.items()}
    for way in ("float32 of 0 to 255", "float64 of 0 to 1"):
        for one, other in zip(models["uint8"].parameters, models[way].parameters, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)), way
    assert {model.border for model in models.values()} == {(0.1697, 0.0456)}
    assert {way: (model.scale, model.value_range) for way, model in models.items()} == {
        "uint8": (255.0, (0.0, 255.0)),
        "float32 of 0 to 255": (255.0, (0.0, 255.0)),
        "float64 of 0 to 1": (1.0, (0.0, 1.0)),
        "float32 of 0 to 1": (1.0, (0.0, 1.0)),
    }
