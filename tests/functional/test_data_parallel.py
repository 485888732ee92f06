"""Workers with examples of their own train as one would that has them all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from lnn.data.in_memory import TEST_X, TEST_Y, TRAIN_X, TRAIN_Y, TrainingData, _loaded, training_data
from lnn.data.on_disk import OwnExamples
from lnn.errors import LnnError
from lnn.job.plan import Plan
from lnn.models.checkpoint import Checkpoint
from lnn.models.store import Artifacts
from lnn.network import LINEAR, init_parameters, new_slots, take_examples
from lnn.parameter_server.process_group import ProcessGroup
from lnn.parameter_server.server import ParameterServer
from lnn.strategies.data_parallel.engine import Data
from support.plans import plan as plan_with

RUN = "20260102T030405Z-0123abcd"
CHANGES: dict[str, Any] = {"strategy": "data", "examples": 23, "test_examples": 7, "shard_rows": 4}


class Memory(Artifacts):
    """A bucket that is a dictionary."""

    def __init__(self) -> None:
        super().__init__(None, "bucket")  # type: ignore[arg-type]
        self.objects: dict[str, bytes] = {}

    def _put(self, key: str, body: bytes, replaced: str | None = None, mark: object = None) -> None:
        self.objects[key] = body

    def _get(self, key: str) -> bytes:
        return self.objects[key]


def stored(plan: Plan, dtype: str = "float64") -> Memory:
    """A small data set as Launch leaves it."""
    artifacts = Memory()
    rng = np.random.default_rng(3)
    for x, y, examples in ((TRAIN_X, TRAIN_Y, plan.examples), (TEST_X, TEST_Y, plan.test_examples)):
        labels = np.arange(examples) % len(plan.list_classes or "ab")
        features = rng.normal(size=(examples, plan.sizes[0])) * 60 + 20 * labels[:, np.newaxis] + 100
        if plan.scale == 1.0:
            features = features / 100
        artifacts.put_tensor(RUN, y, 2 * rng.normal(size=(examples, plan.targets)) if plan.targets else labels)
        for index, start in enumerate(range(0, examples, plan.shard_rows)):
            shard = features[start : start + plan.shard_rows]
            artifacts.put_shard(RUN, x, index, np.clip(shard, 0, 255).astype(dtype))
    return artifacts


def begin(plan: Plan) -> Checkpoint:
    parameters = init_parameters(plan.sizes, plan.activations, "auto", plan.seed, plan.dtype)
    return Checkpoint(0, parameters, new_slots(parameters, plan.update_rule))


@dataclass
class Trained:
    """What came of a training."""

    history: list[tuple[float, int]] = field(default_factory=list)
    """Cost and correct predictions of each epoch."""
    test_correct: list[int] = field(default_factory=list)
    """Correct predictions of the test set after each epoch but the last, then after the last."""
    errors: list[tuple[float, ...]] = field(default_factory=list)
    """Of a regression: squared and absolute errors of each step's examples, then those of the test set."""
    state: Checkpoint | None = None

    @property
    def arrays(self) -> list[NDArray[Any]]:
        assert self.state is not None
        layers = zip(self.state.parameters, self.state.slots, strict=True)
        return [array for (W, b), (of_W, of_b) in layers for array in (W, b, *of_W, *of_b)]


def loaded(artifacts: Artifacts, plan: Plan) -> TrainingData:
    """All of it, read anew: tests have different data under the same run."""
    _loaded.clear()
    return training_data(artifacts, RUN, plan)


def alone(plan: Plan, artifacts: Artifacts, state: Checkpoint | None = None) -> Trained:
    """The training by ``lnn.network`` itself, with all examples in memory."""
    state = state or begin(plan)
    data = loaded(artifacts, plan)
    trained = Trained()
    for epoch in range(state.epoch + 1, plan.epochs + 1):
        total, right = 0.0, 0
        for number, batch in enumerate(plan.batches(epoch)):
            X, Y = take_examples(data.X, batch), take_examples(data.Y, batch)
            t = (epoch - 1) * plan.batches_per_epoch + number + 1
            cost, seen = plan.network.train_step(state.parameters, state.slots, X, Y, plan.update_rule_at(t), t)
            total, right = total + cost * Y.shape[1], right + seen.correct
            trained.errors.append((*seen.squared, *seen.absolute))
        trained.history.append((total / plan.examples, right))
        test = plan.network.tally(state.parameters, data.X_test, data.y_test)
        trained.test_correct.append(test.correct)
    trained.errors.append((*test.squared, *test.absolute))
    trained.state = Checkpoint(plan.epochs, state.parameters, state.slots)
    return trained


def work(
    plan: Plan, artifacts: Artifacts, group: ProcessGroup, state: Checkpoint, part: slice = slice(None)
) -> Trained:
    """One worker's training; ``part`` selects among the epochs."""
    data = Data(artifacts, RUN, plan, state, group)
    trained = Trained()
    epochs = range(1, plan.epochs + 1)[part]
    for epoch in epochs:
        total, right = 0.0, 0
        for number, batch in enumerate(plan.batches(epoch)):
            t = (epoch - 1) * plan.batches_per_epoch + number + 1
            wanted = len(trained.test_correct) < epoch - epochs[0]
            stepped = data.step(batch, t, tally=wanted)
            if stepped.test is not None:
                trained.test_correct.append(stepped.test.correct)
            total, right = total + stepped.cost * plan.batch_examples(number), right + stepped.seen.correct
            trained.errors.append((*stepped.seen.squared, *stepped.seen.absolute))
        trained.history.append((total / plan.examples, right))
    test = data.test_tally()
    trained.test_correct.append(test.correct)
    trained.errors.append((*test.squared, *test.absolute))
    trained.state = data.checkpoint(epochs[-1])
    assert data.train_tally().correct >= 0
    return trained


@pytest.fixture
def together(client: redis.Redis) -> Callable[..., list[Trained]]:
    """Run the workers of a plan, each in a thread and with a connection of its own; what each has, by rank."""
    port = client.connection_pool.connection_kwargs["port"]
    generation = 0

    def run(
        plan: Plan, artifacts: Artifacts, part: slice = slice(None), state: Checkpoint | None = None
    ) -> list[Trained]:
        nonlocal generation
        generation += 1

        def one(rank: int) -> Trained:
            with closing(redis.Redis(port=port)) as own:
                group = ProcessGroup(ParameterServer(own, RUN), f"{generation}-a", rank, plan.workers)
                return work(plan, artifacts, group, state or begin(plan), part)

        with ThreadPoolExecutor(plan.workers) as pool:
            return list(pool.map(one, range(plan.workers)))

    return run


def assert_same(found: Trained, expected: Trained, rtol: float) -> None:
    np.testing.assert_allclose([cost for cost, _ in found.history], [cost for cost, _ in expected.history], rtol=rtol)
    assert [right for _, right in found.history] == [right for _, right in expected.history]
    assert found.test_correct == expected.test_correct
    for own, other in zip(found.arrays, expected.arrays, strict=True):
        np.testing.assert_allclose(own, other, rtol=rtol, atol=rtol * float(np.abs(other).max() or 1))
        assert own.dtype == other.dtype


Together = Callable[..., list[Trained]]


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "nesterov"])
def test_any_number_of_workers_trains_as_one_process_does(
    together: Together, workers: int, batch_size: int | None, optimizer: str
) -> None:
    plan = plan_with(**CHANGES, workers=workers, batch_size=batch_size, optimizer=optimizer, l2=0.3, learning_rate=0.01)
    artifacts = stored(plan)
    assert_same(together(plan, artifacts)[0], alone(plan, artifacts), rtol=1e-9)


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize(("loss", "targets"), [("mse", 1), ("mae", 2), ("huber", 2)])
def test_any_number_of_workers_trains_a_regression_as_one_process_does(
    together: Together, workers: int, batch_size: int | None, loss: str, targets: int
) -> None:
    output = {"sizes": [5, 4, targets], "activations": ["tanh", LINEAR], "list_classes": [], "loss": loss}
    plan = plan_with(**CHANGES | output, workers=workers, batch_size=batch_size, l2=0.3, learning_rate=0.01)
    artifacts = stored(plan)
    found, expected = together(plan, artifacts)[0], alone(plan, artifacts)
    assert_same(found, expected, rtol=1e-9)
    np.testing.assert_allclose(found.errors, expected.errors, rtol=1e-9)
    assert len(found.errors[0]) == 2 * targets


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize(
    ("classes", "sizes", "last"), [(2, [6, 5, 1], "sigmoid"), (3, [6, 5, 3], "softmax"), (3, [6, 3], "sigmoid")]
)
def test_bytes_are_scaled_and_float32_is_kept(
    together: Together, workers: int, classes: int, sizes: list[int], last: str
) -> None:
    plan = plan_with(
        **CHANGES,
        workers=workers,
        sizes=sizes,
        activations=["relu"] * (len(sizes) - 2) + [last],
        list_classes=list("abc")[:classes],
        batch_size=6,
        scale=255.0,
        dtype="float32",
    )
    artifacts = stored(plan, "uint8")
    assert_same(together(plan, artifacts)[0], alone(plan, artifacts), rtol=2e-5)


@pytest.mark.parametrize("average_every", [None, 2])
def test_more_workers_than_a_batch_or_the_test_set_has_examples(together: Together, average_every: int | None) -> None:
    changes = CHANGES | {"test_examples": 2, "batch_size": 2, "learning_rate": 0.01}
    plan = plan_with(**changes, workers=4, average_every=average_every)
    artifacts = stored(plan)
    found = together(plan, artifacts)[0]
    if average_every is None:
        assert_same(found, alone(plan, artifacts), rtol=1e-9)
    assert np.isfinite(found.history).all()


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("average_every", [None, 3])
def test_a_rerun_gives_the_same_bits_and_all_workers_know_the_same(
    together: Together, workers: int, average_every: int | None
) -> None:
    plan = plan_with(
        **CHANGES, workers=workers, batch_size=4, optimizer="adam", dtype="float32", average_every=average_every
    )
    artifacts = stored(plan, "float32")
    first, second = together(plan, artifacts), together(plan, artifacts)
    assert [one.history for one in first] == [first[0].history] * workers
    assert [one.test_correct for one in first] == [first[0].test_correct] * workers
    assert first[0].history == second[0].history
    assert [array.tobytes() for array in first[0].arrays] == [array.tobytes() for array in second[0].arrays]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("average_every", [None, 4])
def test_going_on_from_a_checkpoint_gives_the_bits_of_an_unbroken_training(
    together: Together, workers: int, average_every: int | None
) -> None:
    plan = plan_with(**CHANGES, workers=workers, batch_size=6, optimizer="adam", average_every=average_every)
    artifacts = stored(plan)
    unbroken = together(plan, artifacts)[0]
    state = together(plan, artifacts, slice(0, 1))[0].state
    assert state is not None
    key = artifacts.put_checkpoint(RUN, 1, state)
    resumed = together(plan, artifacts, slice(1, None), artifacts.get_checkpoint(key, 1))[0]
    assert resumed.history == unbroken.history[1:]
    assert [array.tobytes() for array in resumed.arrays] == [array.tobytes() for array in unbroken.arrays]


def test_only_worker_0_puts_a_checkpoint_together(together: Together) -> None:
    plan = plan_with(**CHANGES, workers=3, optimizer="momentum")
    states = [trained.state for trained in together(plan, stored(plan))]
    assert states[0] is not None
    assert states[1:] == [None, None]


# Blocks


@pytest.mark.parametrize("batch_size", [None, 13])
def test_examples_that_do_not_fit_a_block_are_done_block_by_block(
    together: Together, monkeypatch: pytest.MonkeyPatch, batch_size: int | None
) -> None:
    plan = plan_with(**CHANGES, workers=2, batch_size=batch_size, learning_rate=0.01)
    artifacts = stored(plan)
    monkeypatch.setattr("lnn.data.on_disk.BLOCK_BYTES", 1000)
    sizes = [X.shape[1] for X, _, _ in OwnExamples(artifacts, RUN, TRAIN_X, TRAIN_Y, plan, 0, 23).blocks()]
    assert len(sizes) > 5
    assert sum(sizes) == 23
    assert_same(together(plan, artifacts)[0], alone(plan, artifacts), rtol=1e-9)


@pytest.mark.parametrize(("first", "last"), [(0, 23), (3, 9), (4, 8), (22, 23), (5, 5)])
def test_own_examples_may_begin_and_end_within_a_shard(first: int, last: int) -> None:
    plan = plan_with(**CHANGES)
    artifacts = stored(plan)
    data = loaded(artifacts, plan)
    own = OwnExamples(artifacts, RUN, TRAIN_X, TRAIN_Y, plan, first, last)
    assert len(own) == last - first
    for X, y, _ in own.blocks():
        np.testing.assert_array_equal(X, data.X[:, first:last])
        np.testing.assert_array_equal(y, data.y[first:last])
    batch = np.array([21, 8, 3, 22, 4, 0])
    within = np.sort(batch[(batch >= first) & (batch < last)])
    np.testing.assert_array_equal(own.of(batch) + first, within)
    for X, y, _ in own.blocks(own.of(batch)):
        np.testing.assert_array_equal(X, data.X[:, within])
        np.testing.assert_array_equal(y, data.y[within])


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize("held", [0, 7, 1000], ids=["none", "some", "all"])
def test_examples_are_the_same_however_many_are_held_in_memory(
    monkeypatch: pytest.MonkeyPatch, held: int, dtype: str
) -> None:
    plan = plan_with(**CHANGES)
    artifacts = stored(plan, dtype)
    data = loaded(artifacts, plan)
    monkeypatch.setattr("lnn.data.on_disk.BLOCK_BYTES", 1000)  # a few examples
    held_bytes = held * plan.sizes[0] * np.dtype(dtype).itemsize
    own = OwnExamples(artifacts, RUN, TRAIN_X, TRAIN_Y, plan, 2, 21, held_bytes=held_bytes)
    np.testing.assert_array_equal(np.hstack([X.copy() for X, _, _ in own.blocks()]), data.X[:, 2:21])
    for chosen in ([0, 3, 6, 7, 11, 18], [1, 2], [8, 17], list(range(19)), []):
        found = [(X.copy(), y) for X, y, _ in own.blocks(np.array(chosen, np.int64))]
        examples = 2 + np.array(chosen, np.int64)
        np.testing.assert_array_equal(np.hstack([X for X, _ in found] or [data.X[:, :0]]), data.X[:, examples])
        np.testing.assert_array_equal(np.hstack([y for _, y in found] or [[]]), data.y[examples])


def test_only_the_shards_with_own_examples_are_fetched() -> None:
    plan = plan_with(**CHANGES)
    artifacts = stored(plan)
    for index in (0, 1, 4, 5):
        artifacts.objects.pop(f"runs/{RUN}/tensors/train_x/{index:05d}.npy")
    [(X, _, _)] = OwnExamples(artifacts, RUN, TRAIN_X, TRAIN_Y, plan, 9, 15).blocks()
    assert X.shape == (5, 6)


def test_examples_that_do_not_fit_on_disk_say_what_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with(**CHANGES)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: Path("/dev/full").open("wb"))  # noqa: SIM115
    with pytest.raises(LnnError, match=r"23 examples take .* of /tmp, .* raise functions\.neuron\.storage"):
        OwnExamples(stored(plan), RUN, TRAIN_X, TRAIN_Y, plan, 0, 23)


# Averaging


COOLING = {"kind": "exponential", "factor": 0.7, "warmup_epochs": 1}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_decay_apart_from_the_gradient_is_of_the_weights_in_each_worker_s_piece(
    together: Together, workers: int
) -> None:
    changes = {
        "optimizer": "adamw",
        "weight_decay": 0.3,
        "beta1": 0.8,
        "epsilon": 1e-3,
        "learning_rate": 0.05,
        "schedule": COOLING,
    }
    plan = plan_with(**CHANGES, **changes, workers=workers, batch_size=5)
    artifacts = stored(plan)
    assert_same(together(plan, artifacts)[0], alone(plan, artifacts), rtol=1e-9)


@pytest.mark.parametrize("workers", [2, 4])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_averaging_equal_parts_after_every_update_is_adding_up_gradients(
    together: Together, workers: int, optimizer: str
) -> None:
    """Both are linear in the gradient, so the mean of the updates is the update by the mean."""
    changes = CHANGES | {"examples": 24, "workers": workers, "optimizer": optimizer, "l2": 0.3, "learning_rate": 0.01}
    averaged, added = plan_with(**changes, average_every=1), plan_with(**changes)
    artifacts = stored(added)
    found, expected = together(averaged, artifacts)[0], alone(added, artifacts)
    assert_same(found, expected, rtol=1e-9)


def test_one_worker_has_nothing_to_average(together: Together) -> None:
    changes = CHANGES | {"batch_size": 5, "optimizer": "adam", "l2": 0.1}
    averaged, plain = plan_with(**changes, average_every=3), plan_with(**changes)
    artifacts = stored(plain)
    assert_same(together(averaged, artifacts)[0], alone(plain, artifacts), rtol=1e-9)


def test_averaging_rarely_exchanges_rarely_and_trains_another_model(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_with(**CHANGES, workers=2, batch_size=4, average_every=4, learning_rate=0.05)
    artifacts = stored(plan)
    exchanges = []
    real = ProcessGroup.exchange
    monkeypatch.setattr(ProcessGroup, "exchange", lambda own, *given: exchanges.append(own.rank) or real(own, *given))
    found = together(plan, artifacts)[0]
    # 18 updates in 3 epochs of 6: after updates 4 and 6, 8 and 12, 16 and 18; and the counts at the end.
    assert exchanges.count(0) == 6 + 2
    expected = alone(plan, artifacts)
    assert found.history[0][0] == pytest.approx(expected.history[0][0], rel=0.1)
    assert any(not np.allclose(own, other) for own, other in zip(found.arrays, expected.arrays, strict=True))
