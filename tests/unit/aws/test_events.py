"""Raw events, as AWS sends them, become typed values; messages and steps survive the way there and back."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnn.aws.events import uploads
from lnn.messages import Message, Step
from support.repository import REPOSITORY

EVENTS = REPOSITORY / "tests" / "events"


def raw(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


def test_an_upload_is_read_from_s3_s_event() -> None:
    (upload,) = uploads(raw("s3_put"))
    assert upload.bucket == "lnn-123456789012-eu-central-1"
    assert upload.key == "training_input/datasets.h5"
    assert upload.version_id == "096fKKXTRTtl3on89fVO.nfljtsv6qko"
    assert upload.etag == "d41d8cd98f00b204e9800998ecf8427e"
    assert upload.sequencer == "0055AED6DCD90281E5"


def test_keys_are_decoded_spaces_and_unicode_included() -> None:
    (upload,) = uploads(raw("s3_put_spaces_and_unicode"))
    assert upload.key == "training_input/Meine Katzen & Hündchen/猫 1+1=2 100%.h5"


def test_every_record_of_an_event_is_an_upload_of_its_own() -> None:
    found = uploads(raw("s3_put_several_records"))
    assert [upload.key for upload in found] == [
        "training_input/a.h5",
        "training_input/a.h5",
        "training_input/b/datasets.h5",
    ]
    assert len({upload.run_id for upload in found}) == 3


@pytest.mark.parametrize(
    "event", [raw("s3_test_event"), {}, {"Records": []}, {"Records": [{"eventSource": "aws:sns"}]}]
)
def test_events_that_tell_of_no_upload_start_nothing(event: Any) -> None:
    assert uploads(event) == []


def test_without_a_version_the_etag_identifies_the_upload() -> None:
    (upload,) = uploads(raw("s3_put_unversioned"))
    assert upload.version_id is None
    other = raw("s3_put_unversioned")
    other["Records"][0]["s3"]["object"]["eTag"] = "0" * 32
    assert uploads(other)[0].run_id != upload.run_id


def test_a_run_id_is_the_event_s_time_and_eight_hex_digits() -> None:
    (upload,) = uploads(raw("s3_put"))
    assert re.fullmatch(r"20260304T050607Z-[0-9a-f]{8}", upload.run_id)


def test_a_run_id_reads_the_time_without_fractions_too() -> None:
    (upload,) = uploads(raw("s3_put_unversioned"))
    assert upload.run_id.startswith("20260304T050607Z-")


def test_the_same_event_delivered_twice_is_the_same_run() -> None:
    assert uploads(raw("s3_put"))[0].run_id == uploads(copy.deepcopy(raw("s3_put")))[0].run_id


@pytest.mark.parametrize(
    "path", [("bucket", "name"), ("object", "key"), ("object", "versionId"), ("object", "sequencer")], ids="-".join
)
def test_another_upload_is_another_run(path: tuple[str, str]) -> None:
    event = raw("s3_put")
    event["Records"][0]["s3"][path[0]][path[1]] += "x"
    assert uploads(event)[0].run_id != uploads(raw("s3_put"))[0].run_id


COUNTS = st.integers(0, 10**6)
MESSAGES = st.builds(
    Message,
    run_id=st.text(min_size=1),
    generation=COUNTS,
    state=st.sampled_from(["start", "forward", "backward", "update", "watch"]),
    epoch=COUNTS,
    batch=COUNTS,
    layer=COUNTS,
    neuron=st.none() | COUNTS,
)
STEPS = st.builds(
    Step,
    generation=COUNTS,
    epoch=COUNTS,
    batch=COUNTS,
    direction=st.sampled_from(["forward", "backward", "update"]),
    layer=COUNTS,
)


@given(MESSAGES)
def test_a_message_survives_the_way_through_json(message: Message) -> None:
    assert Message.parse(json.loads(json.dumps(message.as_json()))) == message


def test_a_message_has_the_documented_keys() -> None:
    message = Message("run", 1, "forward", 2, 3, 4, 5)
    assert list(message.as_json()) == ["run_id", "generation", "state", "epoch", "batch", "layer", "neuron"]


def test_a_message_to_the_trainer_names_no_neuron() -> None:
    assert "neuron" not in Message("run", 1, "start").as_json()


def test_a_restart_is_the_start_of_the_next_generation() -> None:
    assert Message("run", 3, "forward", 2, 1, 1, 5).restart() == Message("run", 4, "start")


def test_the_schedule_s_message_names_no_run() -> None:
    message = Message.parse(raw("schedule_watch"))
    assert (message.state, message.run_id) == ("watch", "")


@pytest.mark.parametrize(
    "event",
    [
        {"state": "start"},
        {"run_id": "r", "state": "start"},
        {"run_id": "r", "generation": 1, "state": "start", "W": [1]},
    ],
)
def test_a_message_with_a_missing_or_an_unknown_field_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Message.parse(event)


@given(STEPS)
def test_a_step_survives_its_id(step: Step) -> None:
    assert Step.parse(step.id) == step


@given(STEPS, st.none() | COUNTS)
def test_a_step_survives_its_message(step: Step, neuron: int | None) -> None:
    message = step.message("run", neuron)
    assert Step.of(message) == step
    assert (message.run_id, message.neuron) == ("run", neuron)


@given(STEPS, STEPS)
def test_steps_share_an_id_only_if_they_are_the_same(one: Step, other: Step) -> None:
    assert (one.id == other.id) == (one == other)


@pytest.mark.parametrize("step_id", ["1:2:3:sideways:4", "1:2:3:forward", "a:2:3:forward:4", ""])
def test_a_text_that_is_no_step_is_refused(step_id: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parts of a step id come from int() and from unpacking
        Step.parse(step_id)
