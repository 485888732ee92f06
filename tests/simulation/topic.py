"""SNS in memory: the messages that people have had."""

from __future__ import annotations

from typing import Any

from simulation.aws import Service


class Topic(Service):
    """One topic."""

    name = "sns"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.messages: list[tuple[float, str, str]] = []

    def do_publish(self, TopicArn: str, Subject: str, Message: str, **_: Any) -> dict[str, Any]:
        self.messages.append((self.scheduler.now, Subject, Message))
        return {"MessageId": str(len(self.messages))}
