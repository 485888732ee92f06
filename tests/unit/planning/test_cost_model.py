"""What the cost model says of time, price and memory, and that it moves the right way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lnn.aws.pricing import lambda_usd
from lnn.job.plan import EXAMPLE_SPACE, PLAIN
from lnn.network import example_space
from lnn.planning.cost_model import NODE_PASSES, PART_COMMANDS, Correction, CostModel, Estimate
from lnn.planning.rates import AWS, local
from lnn.planning.workload import Functions, Job
from lnn.strategies.registry import STRATEGIES

WAYS = [(strategy, 1) for strategy in STRATEGIES] + [("resident", 4), ("data", 4), ("data", 64)]

JOB = Job(
    sizes=(300, 40, 10),
    examples=2000,
    test_examples=400,
    stored_item=1,
    epochs=50,
    batch_size=None,
    optimizer="sgd",
    dtype="float64",
    record_every=1,
    average_every=None,
)
CATS = replace(JOB, sizes=(12288, 20, 7, 5, 1), examples=209, test_examples=50, epochs=2500)


def estimate(strategy: str = "fused", workers: int = 1, rates: Any = AWS, **changes: Any) -> Estimate:
    return CostModel(replace(JOB, **changes), Functions(), rates).estimate(strategy, workers)


@pytest.mark.parametrize(("strategy", "workers"), WAYS)
@pytest.mark.parametrize(
    "more",
    [
        {"sizes": (300, 80, 10)},
        {"sizes": (600, 40, 10)},
        {"sizes": (300, 40, 40, 10)},
        {"examples": 4000},
        {"epochs": 100},
        {"batch_size": 100},
        {"test_examples": 4000},
    ],
    ids=str,
)
def test_more_work_never_takes_less_time_or_money_or_memory(strategy: str, workers: int, more: dict[str, Any]) -> None:
    before, after = estimate(strategy, workers), estimate(strategy, workers, **more)
    assert after.seconds_total >= before.seconds_total
    assert after.seconds_training >= before.seconds_training
    assert after.usd >= before.usd
    assert after.invocations >= before.invocations
    if "batch_size" not in more:
        assert after.peak_memory_mb >= before.peak_memory_mb


@pytest.mark.parametrize(("strategy", "workers"), WAYS)
def test_training_is_a_part_of_the_whole_and_an_epoch_a_part_of_training(strategy: str, workers: int) -> None:
    found = estimate(strategy, workers)
    assert 0 < found.seconds_training < found.seconds_total
    assert found.ms_per_epoch == pytest.approx(found.seconds_training * 1000 / JOB.epochs)


@pytest.mark.parametrize(("strategy", "workers"), WAYS)
def test_the_best_epoch_s_parameters_take_memory(strategy: str, workers: int) -> None:
    wide = replace(JOB, sizes=(30_000, 400, 10))
    before, after = (
        CostModel(replace(wide, keeps_best=keeps), Functions(), AWS).costs(strategy, workers) for keeps in (False, True)
    )
    assert max(mb for _, mb in after.needs()) > max(mb for _, mb in before.needs())


def test_the_best_epoch_s_parameters_take_room_in_redis() -> None:
    doubts = [
        CostModel(replace(JOB, sizes=(300, 80_000, 10), examples=20, keeps_best=keeps), Functions(), AWS)
        .costs("neuron")
        .doubt()
        for keeps in (False, True)
    ]
    megabytes = [int(str(doubt).split()[1]) for doubt in doubts]
    assert megabytes[1] - megabytes[0] == pytest.approx((310 * 80_000 + 80_010) * 8 / 2**20, abs=1)


@pytest.mark.parametrize("strategy", ["fused", "resident", "data"])
def test_float32_is_faster_and_smaller_where_arithmetic_counts(strategy: str) -> None:
    large = {"sizes": (3000, 400, 10), "examples": 10_000}
    double, single = (estimate(strategy, 1, dtype=dtype, **large) for dtype in ("float64", "float32"))
    assert single.seconds_training < 0.7 * double.seconds_training
    assert single.peak_memory_mb < double.peak_memory_mb


def test_float32_has_its_own_rate() -> None:
    assert AWS.flops("float32") == AWS.flops_float32 > AWS.flops("float64") == AWS.flops_float64


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "adam", "adamw"])
def test_an_optimizer_with_a_memory_takes_more_time_and_memory_than_sgd(optimizer: str) -> None:
    wide = {"sizes": (3000, 400, 10), "examples": 5000, "batch_size": 100}
    for strategy, workers in WAYS:
        plain, other = (estimate(strategy, workers, optimizer=name, **wide) for name in ("sgd", optimizer))
        assert other.seconds_training > plain.seconds_training
        assert other.peak_memory_mb >= plain.peak_memory_mb


def test_recording_fewer_epochs_saves_forward_passes_over_the_test_set() -> None:
    for strategy, workers in WAYS:
        every, some = (estimate(strategy, workers, record_every=n, test_examples=2000) for n in (1, 10))
        assert some.seconds_training < every.seconds_training


def test_workers_share_what_there_is_to_compute_where_it_is_much() -> None:
    wide = {"sizes": (50_000, 64, 10), "examples": 1000}
    many = {"sizes": (3000, 512, 10), "examples": 60_000, "dtype": "float32"}
    for strategy, large in (("resident", wide), ("data", many)):
        one, four = (estimate(strategy, workers, **large) for workers in (1, 4))
        assert one.seconds_training / 4 < four.seconds_training < one.seconds_training * 0.6


def test_workers_only_add_round_trips_where_there_is_little_to_compute() -> None:
    for strategy in ("resident", "data"):
        assert estimate(strategy, 16).seconds_training > estimate(strategy, 1).seconds_training


def test_redis_serves_all_parts_of_an_exchange_one_after_the_other() -> None:
    exchanges = [CostModel(JOB).costs("data", workers).exchange(1000) for workers in (1, 2, 64, 256)]
    assert exchanges[0] == 0
    commands = PART_COMMANDS * 256 * 255 * AWS.command_seconds
    assert exchanges[3] > commands > 10 * exchanges[1]
    assert exchanges == sorted(exchanges)


def test_large_parts_pass_the_node_while_others_do_and_each_worker_twice() -> None:
    part = 1_000_000
    many, two = (CostModel(JOB).costs("data", workers).exchange(part) for workers in (16, 2))
    assert many == pytest.approx(NODE_PASSES * 16 * 15 * part / AWS.cache_bytes, rel=0.01)
    assert two == pytest.approx(2 * part / AWS.function_bytes, rel=0.05)


def test_on_one_machine_a_processor_copies_each_part_in_and_out() -> None:
    rates, part = local(2), 10_000_000
    copied = 16 * 15 * part * (2 / rates.cache_bytes + 2 / rates.function_bytes) / 2
    assert CostModel(JOB, rates=rates).costs("data", 16).exchange(part) == pytest.approx(copied, rel=0.01)


def test_the_first_layer_is_cut_along_its_longer_side() -> None:
    assert replace(JOB, sizes=(300, 40, 10)).block(8) == (40, 38)
    assert replace(JOB, sizes=(40, 300, 10)).block(8) == (38, 40)


def test_averaging_now_and_then_exchanges_less() -> None:
    batches = {"batch_size": 20}
    each, seldom = (estimate("data", 8, average_every=k, **batches) for k in (None, 50))
    assert seldom.seconds_training < each.seconds_training / 3


def test_workers_that_share_a_machine_s_cores_gain_nothing_past_them() -> None:
    large = {"sizes": (3000, 512, 10), "examples": 20_000}
    seconds = [estimate("data", workers, local(2), **large).seconds_training for workers in (1, 2, 8)]
    assert seconds[1] < 0.7 * seconds[0]
    assert seconds[2] >= seconds[1]


def test_cats_train_in_example_space_and_the_estimate_says_so() -> None:
    model = CostModel(CATS)
    found = model.estimate("fused")
    assert (found.formulation, found.reason) == (EXAMPLE_SPACE, "in example space")
    plain = CostModel(replace(CATS, optimizer="adam")).estimate("fused")
    assert plain.formulation == PLAIN
    assert found.seconds_training < plain.seconds_training / 5


@pytest.mark.parametrize("changes", [{"optimizer": "adam"}, {"examples": 12288}, {"epochs": 1}], ids=str)
def test_example_space_is_left_where_it_is_inexact_or_not_less_work(changes: dict[str, Any]) -> None:
    job = replace(CATS, **changes)
    if changes == {"epochs": 1}:
        sets = (job.sizes, job.examples, job.test_examples, 1)
        assert example_space.multiplications(*sets) > example_space.plain_multiplications(*sets)
    assert CostModel(job).costs("fused").formulation == PLAIN


def test_example_space_needs_room_for_its_matrices() -> None:
    large = replace(CATS, sizes=(12288, 20, 1), examples=8000, epochs=10_000)
    assert CostModel(large, Functions(trainer_memory_mb=10_240)).costs("fused").formulation == EXAMPLE_SPACE
    needed = CostModel(replace(large, optimizer="adam")).estimate("fused").peak_memory_mb
    assert CostModel(large, Functions(trainer_memory_mb=needed + 100)).costs("fused").formulation == PLAIN


@pytest.mark.parametrize(("strategy", "workers"), [("fused", 1), ("resident", 1), ("data", 1), ("neuron", 1)])
def test_the_memory_that_an_estimate_names_is_enough_and_one_less_is_not(strategy: str, workers: int) -> None:
    job = replace(JOB, examples=9000)
    needed = CostModel(job).estimate(strategy, workers).peak_memory_mb
    for memory, fits in ((needed, True), (needed - 1, False)):
        found = CostModel(job, Functions(trainer_memory_mb=memory, neuron_memory_mb=memory)).estimate(strategy, workers)
        assert found.fits is fits
    assert f"about {needed} MB" in found.reason
    assert "in Terraform" in found.reason


def test_memory_of_data_does_not_grow_with_examples_or_workers_as_the_others_does() -> None:
    small = {"sizes": (784, 32, 10), "examples": 10_000}
    large = small | {"examples": 1_000_000}
    growth = {
        strategy: estimate(strategy, 16, **large).peak_memory_mb - estimate(strategy, 16, **small).peak_memory_mb
        for strategy in ("fused", "resident", "data")
    }
    assert growth["resident"] >= growth["fused"]
    assert growth["data"] < growth["fused"] / 100


def test_the_examples_of_data_must_fit_the_workers_disks() -> None:
    large = {"sizes": (12288, 20, 1), "examples": 400_000}
    few, many = estimate("data", 2, **large), estimate("data", 4, **large)
    assert "ephemeral storage" in few.reason
    assert "functions.neuron.storage" in few.reason
    assert (few.fits, many.fits) == (False, True)


@pytest.mark.parametrize(
    ("changes", "fits", "what"),
    [
        ({"batch_size": 3000}, True, ""),
        ({"batch_size": None, "flops": 2e8}, False, "an epoch of one batch take"),
        ({"batch_size": 15_000, "flops": 2e8}, False, "a batch take"),
        ({"batch_size": 3000, "average_every": 3, "flops": 3e9}, True, ""),
        ({"batch_size": 3000, "average_every": 10, "flops": 5e8}, False, "10 batches take"),
    ],
)
def test_what_comes_before_a_checkpoint_can_be_stored_must_end_inside_one_invocation(
    changes: dict[str, Any], fits: bool, what: str
) -> None:
    flops = changes.pop("flops", 1e9)
    slow = {"sizes": (3000, 3000, 3000, 10), "examples": 30_000, **changes}
    found = CostModel(
        replace(JOB, **slow), Functions(trainer_memory_mb=10_240), replace(AWS, flops_float64=flops)
    ).estimate("fused")
    assert (found.fits, what in found.reason) == (fits, True), found
    assert found.fits or "one invocation ends after 900 s" in found.reason


def test_more_workers_than_work_do_not_fit() -> None:
    assert "only 40 units in layer 1" in estimate("resident", 64, sizes=(30, 40, 10)).reason
    assert "only 60 features" in estimate("resident", 64, sizes=(60, 40, 10)).reason
    assert "only 20 examples" in estimate("data", 32, examples=20).reason


@pytest.mark.parametrize(("strategy", "workers"), [("fused", 1), ("resident", 2), ("data", 4), ("neuron", 1)])
def test_dropout_takes_time_and_memory(strategy: str, workers: int) -> None:
    job = replace(JOB, batch_size=max(1, JOB.examples // 4))
    plain, dropping = (
        CostModel(replace(job, dropout_layers=layers)).estimate(strategy, workers) for layers in ((), (1,))
    )
    assert plain.seconds_training < dropping.seconds_training < 3 * plain.seconds_training
    assert plain.peak_memory_mb <= dropping.peak_memory_mb


def test_a_long_training_is_several_invocations() -> None:
    short, long = estimate(epochs=50), estimate(epochs=1_000_000)
    assert short.invocations == 2
    assert (
        long.invocations == 1 + -(-(long.seconds_training) // 900) == pytest.approx(long.seconds_training / 900, abs=3)
    )


def test_neuron_counts_an_invocation_for_each_neuron_and_step() -> None:
    assert CostModel(replace(CATS, epochs=10)).estimate("neuron").invocations == 2 + 10 * 2 * (33 + 4)
    clipped = CostModel(replace(CATS, epochs=10, clip_norm=1.0)).estimate("neuron")
    assert clipped.invocations == 2 + 10 * 3 * (33 + 4)


@pytest.mark.parametrize(("strategy", "workers"), [("fused", 1), ("resident", 2), ("data", 4), ("neuron", 1)])
def test_clipping_gradients_takes_time(strategy: str, workers: int) -> None:
    plain, clipped = (
        CostModel(replace(CATS, clip_norm=limit, optimizer="adam")).estimate(strategy, workers) for limit in (None, 1.0)
    )
    assert plain.seconds_training < clipped.seconds_training < 2 * plain.seconds_training


def test_the_price_is_the_functions_time_at_lambda_s_price() -> None:
    found = estimate("data", 4, epochs=5000)
    least = lambda_usd(4 * found.seconds_training, 1769, 4)
    assert least < found.usd < 1.5 * least


def test_a_correction_scales_the_model_s_own_figures() -> None:
    model = CostModel(JOB)
    corrected = replace(model, corrections={"data": Correction(fixed_seconds=7.0, factor=3.0, wait_seconds=0.5)})
    assert corrected.estimate("fused") == model.estimate("fused")
    one, before = corrected.estimate("data", 1), model.estimate("data", 1)
    assert one.seconds_training == pytest.approx(3 * before.seconds_training)
    assert one.seconds_total == pytest.approx(7 + one.seconds_training)
    many = corrected.estimate("data", 64)
    course = model.costs("data", 64).course()
    assert many.ms_per_epoch == pytest.approx(1000 * (3 * course.epoch + course.exchange + 0.5))


def test_a_wait_shorter_than_the_model_s_never_makes_an_exchange_free() -> None:
    model = CostModel(JOB, corrections={"data": Correction(wait_seconds=-1e9)})
    assert model.estimate("data", 2).ms_per_epoch > 1000 * model.costs("data", 2).course().epoch
