"""What goes wrong in a run: a list of faults, drawn from the seed, each of which may be left out when it is shrunk."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

AT_REQUESTS = (
    "kill before", "kill after", "freeze before", "freeze after", "lose request", "lose answer", "late",
)  # fmt: skip
"""At the n-th request from one place of the code."""

TIMED = ("redis lost", "redis key lost", "redis back", "outage", "clocks", "watch stops", "throttled")
"""At a moment, whatever is going on."""

SECONDS = (2.0, 6.0, 10.0, 20.0, 60.0)
"""How long a process stands still, and how much later a request or message comes; half the time, anything between."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Which of the attributes count depends on its kind."""

    kind: str
    site: str = ""
    number: int = 0
    """The request from this site, or the message to this function, from 1."""
    at: float = 0.0
    """Seconds since the upload; of a process that stands still, until another gets the same message."""
    seconds: float = 0.0
    """How long it lasts."""
    what: str = ""
    """The service of an outage, and how it fails; the function of a message; the choice of a key."""

    def __str__(self) -> str:
        shown = {name: value for name, value in asdict(self).items() if value and name != "kind"}
        return f"{self.kind}: " + ", ".join(f"{name} {value}" for name, value in shown.items())


class Faults:
    """The faults of one run, as the services ask for them."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.all = list(faults)
        self._at = {(fault.site, fault.number): fault for fault in faults if fault.kind in AT_REQUESTS}
        self._messages = {(fault.what, fault.number): fault for fault in faults if fault.kind.startswith("message")}
        self._outages = [fault for fault in faults if fault.kind == "outage"]
        self._throttled = [fault for fault in faults if fault.kind == "throttled"]

    def at(self, site: str, number: int) -> Fault | None:
        return self._at.get((site, number)) if self._at else None

    def message(self, function: str, number: int) -> Fault | None:
        """What happens to the n-th message to a function."""
        return self._messages.get((function, number))

    def outage(self, service: str, now: float) -> str | None:
        """``refusing`` or ``silent`` while a service is away."""
        for fault in self._outages:
            name, _, how = fault.what.partition(" ")
            if name == service and fault.at <= now < fault.at + fault.seconds:
                return how
        return None

    def throttled(self, function: str, now: float) -> bool:
        """Whether Lambda has no capacity for a function."""
        return any(fault.what == function and fault.at <= now < fault.at + fault.seconds for fault in self._throttled)

    @property
    def end(self) -> float:
        """When the last timed fault is over."""
        return max((fault.at + fault.seconds for fault in self.all if not fault.site), default=0.0)


def draw(dice: random.Random, sites: Mapping[str, int], messages: Mapping[str, int], duration: float) -> list[Fault]:
    """Some faults for a run that sends ``sites`` requests and ``messages`` messages when nothing disturbs it.

    A place of the code is drawn first, so that one that is passed once is as likely as one that is passed often.
    """
    faults = [_one(dice, sites, messages, duration) for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4)))]
    if dice.random() < 0.2:
        faults.append(Fault("clocks", seconds=dice.choice((2.0, 10.0, 60.0))))
    return faults


def draw_throttling(dice: random.Random, duration: float) -> list[Fault]:
    """Now and then no Neuron may run for a while, at times for longer than five attempts took."""
    if dice.random() < 0.95:
        return []
    return [
        Fault(
            "throttled", at=dice.uniform(0.0, duration), seconds=dice.choice((20.0, 90.0, 400.0, 1500.0)), what="neuron"
        )
    ]


def draw_long_outage(dice: random.Random, duration: float) -> list[Fault]:
    """Now and then a service is away for most of a minute: longer than attempts without a pause would last."""
    if dice.random() < 0.95:
        return []
    service = dice.choice(("redis", "dynamodb", "s3", "s3", "sns"))
    how = dice.choice(("refusing", "silent"))
    return [
        Fault(
            "outage", at=dice.uniform(0.0, duration), seconds=dice.choice((20.0, 30.0, 45.0)), what=f"{service} {how}"
        )
    ]


def _one(dice: random.Random, sites: Mapping[str, int], messages: Mapping[str, int], duration: float) -> Fault:
    kind = dice.choices(
        ["kill", "freeze", "request", "message", "redis lost", "redis key lost", "redis back", "outage"],
        [4, 8, 3, 2, 1, 1, 1, 1],
    )[0]
    moment = dice.uniform(0.0, duration * 1.2)
    if kind in ("kill", "freeze", "request"):
        site = dice.choice(sorted(sites))
        if kind == "request" and " compute " in site:
            kind = "freeze"
        number = dice.randint(1, sites[site])
        if kind == "request":
            kind = dice.choice(("lose request", "lose answer", "late"))
        else:
            kind = f"{kind} {dice.choice(('before', 'after'))}"
        if kind.startswith("kill"):
            return Fault(kind, site=site, number=number)
        again = kind.startswith("freeze") and dice.random() < 0.3
        return Fault(
            kind,
            site=site,
            number=number,
            seconds=_some_seconds(dice),
            what="again" if again else "",
            at=dice.choice((0.1, 1.0, 5.0)) if again else 0.0,
        )
    if kind == "message":
        function = dice.choice(sorted(messages))
        number = dice.randint(1, messages[function])
        kind = dice.choice(("message twice", "message late"))
        return Fault(kind, what=function, number=number, seconds=dice.choice((0.1, 1.0, *SECONDS)))
    if kind == "redis back":
        return Fault(kind, at=moment, seconds=dice.choice((0.2, 1.0, 2.5, 10.0)))
    if kind == "outage":
        service = dice.choice(("redis", "dynamodb", "s3", "sns"))
        how = dice.choice(("refusing", "silent"))
        return Fault(kind, at=moment, seconds=dice.choice((0.5, 2.0, 6.0, 12.0)), what=f"{service} {how}")
    return Fault(kind, at=moment, what=str(dice.random()))


def _some_seconds(dice: random.Random) -> float:
    return dice.choice(SECONDS) if dice.random() < 0.5 else round(dice.uniform(SECONDS[0], SECONDS[-1]), 1)


def as_json(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    return [asdict(fault) for fault in faults]
