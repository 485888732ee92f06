"""Every message may come again, and a cache may forget: one training, the same bits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from support.e2e_cloud import CloudUnderTest, Outcome, eventually, run_id_of, s3_event, subjects
from support.e2e_jobs import NEURON_DATASET, NEURON_PARAMETERS, blobs, encode, network

EPOCHS = NEURON_PARAMETERS["epochs"]


def test_an_event_delivered_again_and_again_is_one_training(cloud: CloudUnderTest) -> None:
    first = cloud.completed(cloud.start("repeated", encode(blobs()), network(3, 1, epochs=2)))
    record = first.dataset | {"sequencer": "FFFF"}
    event, run_id = s3_event(record), run_id_of(record)
    with ThreadPoolExecutor(3) as pool:
        at_once = list(pool.map(lambda _: cloud.invoke("launch", event), range(3)))
    done = cloud.completed(run_id)
    before = cloud.outcome(run_id)
    later = [cloud.invoke("launch", event) for _ in range(2)]

    assert [list(answer) for answer in at_once + later] == [[run_id]] * 5
    assert {run.run_id for run in cloud.runs_of(record["key"])} == {run_id, first.run_id}
    assert cloud.run(run_id) == done
    assert (done.generation, done.invocations) == (1, 2)
    assert cloud.outcome(run_id) == before
    assert [row["epoch"] for row in before.history] == [1, 2]
    assert len(cloud.logged("trainer", run_id, "handled")) == 1
    assert subjects(cloud, run_id, 2) == ["LNN: training 4-3-1 has started", "LNN: training completed"]


def test_messages_delivered_again_change_nothing(cloud: CloudUnderTest, undisturbed_neuron: Outcome) -> None:
    run_id = cloud.start("redelivered", NEURON_DATASET, NEURON_PARAMETERS)
    repeated: set[str] = set()

    def repeat_and_look() -> bool:
        position = cloud.position(run_id)
        if position is not None and position.step.epoch and position.step.id not in repeated:
            message = position.step.message(run_id)
            for neuron in range(position.width):
                cloud.send("neuron", message.as_json() | {"neuron": neuron})
            cloud.send("trainer", message.as_json())
            cloud.send("trainer", {"run_id": run_id, "generation": 1, "state": "start"})
            repeated.add(position.step.id)
        return cloud.run(run_id).status == "COMPLETED"

    eventually(repeat_and_look, f"the end of {run_id}", state=lambda: cloud.run(run_id))
    assert len(repeated) >= EPOCHS
    assert cloud.completed(run_id).generation == 1
    assert cloud.outcome(run_id) == undisturbed_neuron
    # What comes after the end is no resurrection.
    for role in ("trainer", "neuron"):
        cloud.invoke(role, {"run_id": run_id, "generation": 1, "state": "forward", "epoch": 1, "layer": 1, "neuron": 0})
    assert cloud.run(run_id).status == "COMPLETED"
    assert cloud.outcome(run_id) == undisturbed_neuron
    cloud.await_no_keys(run_id)


def test_a_run_whose_cache_is_emptied_goes_back_to_its_checkpoint(
    cloud: CloudUnderTest, undisturbed_neuron: Outcome
) -> None:
    run_id = cloud.start("flushed", NEURON_DATASET, NEURON_PARAMETERS | {"checkpoint_seconds": 0.5})
    eventually(
        lambda: cloud.reached(run_id, 2).latest_checkpoint["epoch"], "a checkpoint", state=lambda: cloud.run(run_id)
    )
    cloud.redis.flushall()
    assert cloud.healed(run_id).generation == 2
    assert cloud.outcome(run_id) == undisturbed_neuron
    cloud.await_no_keys(run_id)
