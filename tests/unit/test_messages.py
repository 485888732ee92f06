"""What people see of a message: ``lnn.messages``."""

from __future__ import annotations

from lnn.messages import Message


def test_people_count_neurons_from_1_as_they_do_layers_and_messages_from_0() -> None:
    message = Message("run", 1, "forward", epoch=3, layer=2, neuron=0)
    assert message.as_json()["neuron"] == 0
    assert message.neuron_number == 1
    assert message.place() == message.as_json() | {"neuron": 1}


def test_a_worker_is_known_by_its_rank() -> None:
    message = Message("run", 1, "start", neuron=0)
    assert message.place() == message.as_json()


def test_a_message_to_the_trainer_is_about_no_neuron() -> None:
    message = Message("run", 1, "forward", epoch=3, layer=2)
    assert message.neuron_number is None
    assert "neuron" not in message.place()
