"""The invocations that a run of strategy ``neuron`` has recorded, read from S3.

It takes rights to list and read the bucket, and nothing else: docs/adr/20261129-the-run-records-its-invocations.md.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lnn.aws.client_errors import AWS_ERRORS
from lnn.names import fill_and_epochs_of_timeline, timeline_prefix
from lnn.parameter_server.records import decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lnn.parameter_server.records import Invocation
    from lnn_client.cloud import Cloud

Numbered = list[tuple[int, "Invocation"]]

NOT_RECORDED = "with `snapshots: 0` a run records none"
"""Why a run of strategy ``neuron`` has no invocations to show."""

READERS = 8
"""Parts that are read at one time: a run stores one every two seconds."""
KEPT_PARTS = 64
"""That the last looks at an epoch have read."""
NEWEST_PARTS = 5
"""That whoever begins to follow a run reads of what it has recorded before."""
PULSE_SECONDS = 10.0
"""The pace is that of so long a time before the newest record."""
MOST_ROWS = 20_000
"""That a feed keeps for pages, and answers with."""


class Recorded:
    """The recorded invocations of one run, while it trains and afterwards."""

    def __init__(self, cloud: Cloud, run_id: str) -> None:
        self._cloud, self._prefix = cloud, timeline_prefix(run_id)
        self._read_to = ""
        self._numbers: dict[str, int] = {}
        self._kept: OrderedDict[str, Numbered] = OrderedDict()

    def new(self, most_parts: int | None = None) -> list[Invocation]:
        """Those that no earlier call gave, in the order in which they ended; of so many parts at most."""
        keys = list(islice(self._keys(after=self._read_to), most_parts))
        parts = list(self._parts(keys))
        self._read_to = keys[-1] if keys else self._read_to
        return list(_once(parts, self._numbers))

    def skip(self) -> None:
        """Leave all parts but the newest ones out of what ``new`` gives."""
        keys = list(self._keys(after=self._read_to))
        if len(keys) > NEWEST_PARTS:
            self._read_to = keys[-NEWEST_PARTS - 1]

    def of_epoch(self, epoch: int) -> list[Invocation]:
        """Those of one epoch; nothing but the parts that have some of it is read."""
        keys = []
        for key in self._keys():
            _, first, last = fill_and_epochs_of_timeline(key)
            if first <= epoch <= last:
                keys.append(key)
        missing = [key for key in keys if key not in self._kept]
        parts = {key: self._kept[key] for key in keys if key in self._kept} | dict(self._parts(missing))
        for key, part in parts.items():
            self._kept[key] = part
            self._kept.move_to_end(key)
        while len(self._kept) > KEPT_PARTS:
            self._kept.popitem(last=False)
        return [one for one in _once(((key, parts[key]) for key in keys), {}) if one.epoch == epoch]

    def _keys(self, after: str = "") -> Iterator[str]:
        pages = self._cloud.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._cloud.names.bucket, Prefix=self._prefix, StartAfter=after
        )
        for page in pages:
            yield from (entry["Key"] for entry in page.get("Contents", ()))

    def _parts(self, keys: list[str]) -> Iterator[tuple[str, Numbered]]:
        if len(keys) < 2:
            yield from ((key, self._part(key)) for key in keys)
            return
        with ThreadPoolExecutor(READERS) as pool:
            yield from zip(keys, pool.map(self._part, keys), strict=True)

    def _part(self, key: str) -> Numbered:
        return list(decode(self._cloud.s3.get_object(Bucket=self._cloud.names.bucket, Key=key)["Body"].read()))


def _once(parts: Iterable[tuple[str, Numbered]], numbers: dict[str, int]) -> Iterator[Invocation]:
    """Every record once: a part that was stored twice comes again with a longer one. ``numbers`` are the last seen."""
    for key, part in parts:
        fill, _, _ = fill_and_epochs_of_timeline(key)
        for number, one in part:
            if number > numbers.get(fill, -1):
                numbers[fill] = number
                yield one


@dataclass(frozen=True, slots=True)
class Pulse:
    """The neurons that worked last, all in one step, and the pace of all invocations; layers and neurons from 1."""

    state: str
    layer: int
    neurons: list[int]
    per_second: float | None
    """None where the records span no time."""


class Follower:
    """The newest records of a run that goes on."""

    def __init__(self, cloud: Cloud, run_id: str) -> None:
        self._recorded = Recorded(cloud, run_id)
        self._begun = False
        self._latest: deque[Invocation] = deque()

    def new(self) -> list[Invocation]:
        """Those that no earlier call gave; the first call gives the newest ones."""
        if not self._begun:
            self._recorded.skip()
            self._begun = True
        return self._recorded.new()

    def pulse(self) -> Pulse | None:
        """What is going on, by the newest records; None where there are none, or they cannot be read."""
        try:
            self._latest.extend(self.new())
        except AWS_ERRORS:
            return None
        while self._latest and _end(self._latest[-1]) - _end(self._latest[0]) > PULSE_SECONDS:
            self._latest.popleft()
        at_work = [one for one in self._latest if one.role == "neuron" and not (one.late or one.missed)]
        if not at_work:
            return None
        last, span = at_work[-1], _end(self._latest[-1]) - _end(self._latest[0])
        step = (last.epoch, last.batch, last.state, last.layer)
        neurons = {one.neuron or 0 for one in at_work if (one.epoch, one.batch, one.state, one.layer) == step}
        rate = (len(self._latest) - 1) / span if span else None
        return Pulse(last.state or "", last.layer or 0, sorted(neurons), rate)


class Feed:
    """A run's invocations for the pages of ``lnn view``, in JSON's types."""

    def __init__(self, cloud: Cloud, run_id: str) -> None:
        self._follower, self._recorded = Follower(cloud, run_id), Recorded(cloud, run_id)
        self._rows: deque[dict[str, Any]] = deque(maxlen=MOST_ROWS)
        self._given = 0

    def since(self, number: int) -> dict[str, Any]:
        """What came after so many records, as far as it is kept, and the number to ask with the next time."""
        newer = [_row(one) for one in self._follower.new()]
        self._rows.extend(newer)
        self._given += len(newer)
        missing = min(max(self._given - number, 0), len(self._rows))
        return {"next": self._given, "rows": list(islice(self._rows, len(self._rows) - missing, None))}

    def of_epoch(self, epoch: int) -> dict[str, Any]:
        """An epoch's records, the first ``MOST_ROWS``."""
        return {"rows": [_row(one) for one in self._recorded.of_epoch(epoch)[:MOST_ROWS]]}

    def of_neuron(self, epoch: int, layer: int, neuron: int) -> dict[str, Any]:
        """The records of a neuron's work on an epoch."""
        found = self._recorded.of_epoch(epoch)
        return {"invocations": [of_invocation(one) for one in found if (one.layer, one.neuron) == (layer, neuron)]}


def of_invocation(one: Invocation) -> dict[str, Any]:
    """An invocation of a neuron whose place is known, in JSON's types."""
    of_step = ("start", "seconds", "state", "generation", "batch")
    names = (*of_step, "attempt", "cold", "failed", "memory_mb", "late", "missed")
    return {name: getattr(one, name) for name in names}


def _row(one: Invocation) -> dict[str, Any]:
    """An invocation as a page plays it."""
    names = (
        "role",
        "generation",
        "epoch",
        "batch",
        "state",
        "layer",
        "neuron",
        "start",
        "seconds",
        "attempt",
        "failed",
        "late",
        "missed",
    )
    return {name: getattr(one, name) for name in names}


def _end(one: Invocation) -> float:
    return one.start + one.seconds
