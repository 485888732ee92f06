"""Batches: each row predicted once, whatever is delivered twice or dies; bad parts leave a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moto import mock_aws
from numpy.typing import NDArray

from lnn.data.preprocessing import Column, Preprocessing
from lnn.errors import InputError, NonRetryable
from lnn.models.inference import Prediction
from lnn.models.model_file import Model, encode_model, load_model
from lnn.names import batch_model_key, part_key, prediction_key
from lnn.network import Network
from lnn.serving import batch_parts
from lnn.serving.batch_parts import NUMBERS, encode, reason_in
from lnn_client import batches
from lnn_client.batches import Batch, rows_of_pictures, rows_of_table
from lnn_client.errors import BatchFailed
from lnn_client.tables import open_table
from support.batch_world import NAMES, BatchWorld, event_of
from support.hostile_files import ONE_KIND, model_reaching_out, other_file
from support.models import brightness_model

FEATURES, CLASSES = 3, 4
PART_ROWS = 16


def small_model(seed: int = 1, preprocessing: Preprocessing | None = None) -> Model:
    rng = np.random.default_rng(seed)
    sizes = [FEATURES, 5, CLASSES]
    layers = [(rng.normal(size=(b, a)), rng.normal(size=(b, 1))) for a, b in pairwise(sizes)]
    names = [f"class {index}" for index in range(CLASSES)]
    return Model(layers, "a-run", ["tanh", "softmax"], names, None, 1.0, preprocessing=preprocessing)


MODEL = small_model()
CONTENT = encode_model(MODEL)
MODEL_DIGEST = sha256(CONTENT).hexdigest()
ROWS = np.random.default_rng(5).normal(size=(250, FEATURES))


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., BatchWorld]]:
    """Deployments in which a part has few rows."""
    monkeypatch.setattr(batch_parts, "PART_BYTES", PART_ROWS * CLASSES * 8)
    with mock_aws():
        yield lambda **how: BatchWorld(monkeypatch, **how)


def by_the_network(model: Model, rows: NDArray[Any]) -> NDArray[Any]:
    sizes = [model.features, *(len(W) for W, _ in model.parameters)]
    return Network(sizes, model.activations).predict_proba(model.parameters, rows.T).T


def probabilities(said: Sequence[Any]) -> NDArray[Any]:
    assert all(isinstance(one, Prediction) for one in said)
    return np.array([one.probabilities for one in said])


def asked(world: BatchWorld, rows: Any = ROWS, at_once: int = 4, content: bytes = CONTENT) -> list[Any]:
    return list(Batch(world.cloud, content, at_once).predictions(rows))


def put_part(world: BatchWorld, content: bytes, key: str | None = None) -> str:
    key = key or part_key(MODEL_DIGEST, sha256(content).hexdigest())
    world.s3.put_object(Bucket=NAMES.bucket, Key=key, Body=content)
    return key


@pytest.mark.parametrize("seed", range(12))
def test_each_row_is_answered_once_in_its_place_whatever_comes_twice_or_dies(
    seed: int, make: Callable[..., BatchWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnn.serving.batch.inspect_model", lambda content, *_: load_model(content))
    world = make(seed=seed, faults=True)
    answers = asked(world)
    assert [problem for _, problem in answers] == [""] * len(ROWS)
    np.testing.assert_allclose(
        probabilities([said for said, _ in answers]), by_the_network(MODEL, ROWS), rtol=1e-12, atol=0
    )
    parts = -(-len(ROWS) // PART_ROWS)
    assert world.deaths > 0
    while world.s3.events:  # what is late comes after the end
        world.deliver_one()
    stored = world.answers()
    assert len(stored) == len(set(stored)) == parts, "the first answer stays, and has one version"


@pytest.mark.parametrize("at_once", [1, 3])
def test_as_many_parts_as_wanted_are_under_way(at_once: int, make: Callable[..., BatchWorld]) -> None:
    world = make()
    asked(world, at_once=at_once)
    assert world.most_at_once == at_once


def test_a_batch_that_was_interrupted_asks_for_what_is_missing_alone(make: Callable[..., BatchWorld]) -> None:
    world = make()
    going = Batch(world.cloud, CONTENT, 2).predictions(ROWS)
    begun = [next(going) for _ in range(100)]
    going.close()
    known = set(world.answers())
    assert 0 < len(known) < 16
    world.s3.sent.clear()
    answers = asked(world)
    assert answers[:100] == begun
    assert len(answers) == 250
    assert known.isdisjoint(map(prediction_key, world.s3.sent))
    assert len(world.answers()) == len(set(world.answers())) == 16
    world.s3.sent.clear()
    assert asked(world) == answers
    assert world.s3.sent == []


def test_rows_that_a_table_cannot_have_keep_their_place_and_reason(
    make: Callable[..., BatchWorld], tmp_path: Path
) -> None:
    world = make()
    columns = [Column("age", "number", 40.0, 10.0), Column("color", "category", categories=["blue", "red"])]
    preprocessing = Preprocessing(columns, "kind")
    model = small_model(preprocessing=preprocessing)
    raw = [(20 + index % 50, ("red", "blue")[index % 2]) for index in range(60)]
    lines = [f"{age},{color}" for age, color in raw]
    for place in (0, 17, *range(32, 48)):  # a whole part among them
        lines[place] = "old,green"
    (tmp_path / "rows.csv").write_text("age,color\n" + "\n".join(lines) + "\n")
    batch = Batch(world.cloud, encode_model(model), 4)
    answers = list(batch.predictions(rows_of_table(batch.model, open_table(tmp_path / "rows.csv"))))
    broken = {place for place, (said, _) in enumerate(answers) if said is None}
    assert broken == {0, 17, *range(32, 48)}
    assert answers[17][1].startswith("row 18: column 'age': found 'old'")
    good = [place for place in range(60) if place not in broken]
    rows = preprocessing.matrix([raw[place] for place in good]).T
    np.testing.assert_allclose(
        probabilities([answers[place][0] for place in good]), by_the_network(model, rows), rtol=1e-12, atol=0
    )
    (tmp_path / "other.csv").write_text("age\n3\n")
    with pytest.raises(InputError, match="no column"):
        next(rows_of_table(model, open_table(tmp_path / "other.csv")))


def test_what_the_model_does_not_take_is_refused_before_anything_is_sent(
    make: Callable[..., BatchWorld], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make()
    (tmp_path / "rows.csv").write_text("age\n3\n")
    with pytest.raises(InputError, match="plain features"):
        next(rows_of_table(MODEL, open_table(tmp_path / "rows.csv")))
    with pytest.raises(InputError, match="not on pictures"):
        next(rows_of_pictures(MODEL, [tmp_path / "a.png"]))
    monkeypatch.setattr(batches, "MAX_SERVED_BYTES", 100)
    with pytest.raises(InputError, match="100 at most"):
        Batch(world.cloud, CONTENT, 1)
    assert world.s3.keys("") == []


GOOD = encode(ROWS[:4], NUMBERS)


@pytest.mark.parametrize(
    ("content", "key", "why"),
    [
        (b"no array", None, "expected a .npy file"),
        (encode(ROWS[:5, :2], NUMBERS), None, "expected a .npy file of rows of 3 values"),
        (encode(np.zeros((10_000, FEATURES)), NUMBERS), None, "are the most"),
        (GOOD, part_key(MODEL_DIGEST, "0" * 64), "damaged"),
        (GOOD, f"prediction_input/batches/{MODEL_DIGEST}/mine.npy", "expected prediction_input/batches/MODEL/PART.npy"),
        (GOOD, "prediction_input/batches/a/b/c.npy", "expected prediction_input/batches/MODEL/PART.npy"),
    ],
)
def test_a_bad_part_leaves_its_reason_in_the_place_of_an_answer(
    make: Callable[..., BatchWorld], content: bytes, key: str | None, why: str
) -> None:
    world = make()
    world.s3.put_object(Bucket=NAMES.bucket, Key=batch_model_key(MODEL_DIGEST), Body=CONTENT)
    put = put_part(world, content, key)
    outcome = world.predict(event_of(put))
    assert outcome.startswith("refused: ")
    reason = reason_in(world.s3.read(prediction_key(put)))
    assert reason is not None
    assert why in reason
    assert world.predict(event_of(put)) == f"{outcome}; it had an answer before"


@pytest.mark.parametrize("kind", ["another", "hostile", "no model"])
def test_a_part_with_a_bad_model_leaves_its_reason(make: Callable[..., BatchWorld], tmp_path: Path, kind: str) -> None:
    world = make()
    content = {
        "another": encode_model(small_model(9)),
        "hostile": model_reaching_out(ONE_KIND, other_file(tmp_path)),
        "no model": b"no HDF5 file",
    }[kind]
    digest = MODEL_DIGEST if kind == "another" else sha256(content).hexdigest()
    world.s3.put_object(Bucket=NAMES.bucket, Key=batch_model_key(digest), Body=content)
    put = put_part(world, GOOD, part_key(digest, sha256(GOOD).hexdigest()))
    assert world.predict(event_of(put)).startswith("refused: ")
    reason = reason_in(world.s3.read(prediction_key(put)))
    assert reason is not None
    assert ("is another model" if kind == "another" else "not a params.h5") in reason


def test_a_part_without_its_model_is_left_to_lambda_s_repeats(make: Callable[..., BatchWorld]) -> None:
    world = make()
    put = put_part(world, GOOD)
    with pytest.raises(NonRetryable):
        world.predict(event_of(put))
    assert world.answers() == []
    world.s3.put_object(Bucket=NAMES.bucket, Key=batch_model_key(MODEL_DIGEST), Body=CONTENT)
    assert world.predict(event_of(put)) == "predicted"


no_answers = pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b'{"reason": "somebody put it there"}', "somebody put it there"),
        (b"nonsense", "LNN did not write"),
        (encode(np.zeros((PART_ROWS, CLASSES + 1)), NUMBERS), "expected a .npy file of rows of 4"),
        (encode(np.zeros((PART_ROWS - 1, CLASSES)), NUMBERS), "it has 15 answers"),
    ],
)


@no_answers
def test_an_answer_that_is_none_names_its_rows_and_the_same_command_asks_again(
    make: Callable[..., BatchWorld], answer: bytes, why: str
) -> None:
    world = make()
    second = prediction_key(
        part_key(MODEL_DIGEST, sha256(encode(ROWS[PART_ROWS : 2 * PART_ROWS], NUMBERS)).hexdigest())
    )
    answers = [answer]

    def put_it_first() -> None:
        if answers:
            world.s3.put_object(Bucket=NAMES.bucket, Key=second, Body=answers.pop())
        world.deliver_one()

    world.while_waiting = put_it_first
    with pytest.raises(BatchFailed, match=f"rows 17 to 32: .*{why}.*; the same command"):
        asked(world)
    assert len(asked(world)) == len(ROWS)


@no_answers
def test_answers_from_before_that_are_none_are_asked_for_again(
    make: Callable[..., BatchWorld], answer: bytes, why: str
) -> None:
    """Of a command that has failed, and has looked at the first of them only."""
    world = make()
    for first in range(0, 4 * PART_ROWS, PART_ROWS):
        part = sha256(encode(ROWS[first : first + PART_ROWS], NUMBERS)).hexdigest()
        world.s3.put_object(Bucket=NAMES.bucket, Key=prediction_key(part_key(MODEL_DIGEST, part)), Body=answer)
    assert why
    assert len(asked(world)) == len(ROWS)


def test_a_part_that_gets_no_answer_is_sent_again_and_then_given_up_with_where_to_look(
    make: Callable[..., BatchWorld],
) -> None:
    world = make()
    world.while_waiting = lambda: None
    with pytest.raises(BatchFailed, match=r"rows 1 to 16: .*log group /aws/lambda/lnn-predict.*lnn-predict-dlq"):
        asked(world, at_once=1)
    assert len(set(world.s3.sent)) == 1
    assert len(world.s3.sent) == 5, "after one, three, seven and fifteen minutes"


def test_a_model_that_expired_meanwhile_is_sent_again_with_the_part(make: Callable[..., BatchWorld]) -> None:
    world = make()
    lost = []

    def lose_the_first() -> None:
        if not lost:
            lost.append(world.s3.events.pop())
            world.s3.delete_object(Bucket=NAMES.bucket, Key=batch_model_key(MODEL_DIGEST))
        elif len(world.s3.sent) > 1:
            world.deliver_one()

    world.while_waiting = lose_the_first
    assert len(asked(world, ROWS[:10], at_once=1)) == 10


def test_pictures_are_answered_and_a_broken_one_is_its_reason(make: Callable[..., BatchWorld], tmp_path: Path) -> None:
    from PIL import Image

    world = make()
    for name, level in (("a.png", 51), ("c.png", 204)):
        Image.new("L", (9, 5), level).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes(b"no picture")
    images = [tmp_path / f"{name}.png" for name in "abc"]
    batch = Batch(world.cloud, encode_model(brightness_model()), 2)
    (dark, _), (none, why), (light, _) = batch.predictions(rows_of_pictures(batch.model, images))
    assert isinstance(dark, Prediction)
    assert isinstance(light, Prediction)
    assert dark.to_json()["class"] == "dark"
    assert dark.to_json()["probability"] == pytest.approx(1 / (1 + np.exp(-6)), rel=1e-3)
    assert light.to_json()["class"] == "light"
    assert none is None
    assert "not a picture" in why
    (swapped, _), *_ = batch.predictions(rows_of_pictures(batch.model, images, invert=True))
    assert isinstance(swapped, Prediction)
    assert swapped.to_json()["class"] == "light"
