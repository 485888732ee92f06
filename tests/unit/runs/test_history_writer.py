"""The history on its way: side by side, again after a failure, and never more of it than memory holds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from lnn.errors import LedgerUnavailable, NonRetryable
from lnn.runs import history_writer
from lnn.runs.history_items import BLOCK_ROWS
from lnn.runs.history_writer import HistoryWriter
from lnn.runs.record import EpochRow


class Table:
    """Keeps rows; ``before`` is called with each batch, and may wait or raise."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.batches: list[int] = []
        self.before: Callable[[Sequence[EpochRow]], object] = lambda rows: None

    def record(self, run_id: str, rows: Sequence[EpochRow], every: int) -> None:
        assert (run_id, every) == ("run", 1)
        self.before(rows)
        self.batches.append(len(rows))
        self.rows += [row.epoch for row in rows]


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def writer(table: Table, monkeypatch: pytest.MonkeyPatch) -> Iterator[HistoryWriter]:
    monkeypatch.setattr(history_writer, "PAUSE_SECONDS", 0.001)
    writer = HistoryWriter(table, "run", 1)  # type: ignore[arg-type]
    yield writer
    writer.close()


def row(epoch: int) -> EpochRow:
    return EpochRow(epoch, 0.5, 0.5, 0.5, 0.1)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_rows_are_written_by_blocks_as_they_come_and_the_rest_at_the_end(table: Table, writer: HistoryWriter) -> None:
    for epoch in range(1, 241):
        writer.add(row(epoch))
    until(lambda: len(table.rows) == 200)
    writer.flush()
    assert sorted(table.rows) == list(range(1, 241))
    assert sorted(table.batches) == [40, 100, 100]


def test_a_block_is_closed_by_its_last_epoch_wherever_the_rows_begin(table: Table, writer: HistoryWriter) -> None:
    for epoch in range(151, 301):
        writer.add(row(epoch))
    until(lambda: len(table.rows) == 150)
    assert sorted(table.batches) == [50, 100]


def test_as_many_calls_are_on_their_way_as_there_are_writers(table: Table, writer: HistoryWriter) -> None:
    """Each waits for all others: one fewer, and none would get through."""
    meeting = threading.Barrier(history_writer.WRITERS)
    table.before = lambda rows: meeting.wait(30)
    for epoch in range(1, BLOCK_ROWS * history_writer.WRITERS + 1):
        writer.add(row(epoch))
    writer.flush()
    assert table.batches == [BLOCK_ROWS] * history_writer.WRITERS


def test_rows_that_come_slowly_do_not_wait_for_their_block(table: Table, writer: HistoryWriter) -> None:
    writer.add(row(1))
    writer.push()
    writer.add(row(2))
    assert table.rows == []
    writer.push()
    until(lambda: table.rows == [1, 2])


def test_rows_that_come_fast_wait_for_their_block(table: Table, writer: HistoryWriter) -> None:
    for epoch in range(1, 201):
        writer.add(row(epoch))
        if epoch % 70 == 0:  # each time another block is being filled
            writer.push()
    until(lambda: len(table.rows) == 200)
    assert table.batches == [100, 100]


def test_rows_that_belong_to_no_block_do_not_pile_up(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every thousandth epoch is recorded, a run that stores a checkpoint after each has a row for each."""
    monkeypatch.setattr(table, "record", lambda run_id, rows, every: table.batches.append(len(rows)))
    writer = HistoryWriter(table, "run", 1000)  # type: ignore[arg-type]
    for epoch in range(1, 1000):
        writer.add(row(epoch))
    until(lambda: len(table.batches) == 4)
    writer.close()
    assert table.batches == [history_writer.MOST_OF_A_BLOCK] * 4


def test_training_waits_while_more_rows_than_memory_is_for_are_waiting(
    table: Table, writer: HistoryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer, "MOST_WAITING", 100)
    taken = threading.Event()
    table.before = lambda rows: taken.wait(30)
    added: list[int] = []

    def train() -> None:
        for epoch in range(1, 301):
            writer.add(row(epoch))
            added.append(epoch)

    training = threading.Thread(target=train)
    training.start()
    until(lambda: len(added) == 100 and writer._waiting == 101)
    assert table.rows == []
    taken.set()
    training.join(30)
    writer.flush()
    assert sorted(table.rows) == list(range(1, 301))


def test_a_batch_that_dynamodb_does_not_take_is_written_again(table: Table, writer: HistoryWriter) -> None:
    refused: list[int] = []

    def busy(rows: Sequence[EpochRow]) -> None:
        if len(refused) < 5:
            refused.append(len(rows))
            raise LedgerUnavailable("slow down")

    table.before = busy
    for epoch in range(1, 131):
        writer.add(row(epoch))
    writer.flush()
    assert sorted(table.rows) == list(range(1, 131))
    assert len(refused) == 5


def test_whoever_waits_gives_up_when_nothing_gets_through(
    table: Table, writer: HistoryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer, "STALLED_SECONDS", 0.05)

    def away(rows: Sequence[EpochRow]) -> None:
        raise LedgerUnavailable("the table does not answer")

    table.before = away
    writer.add(row(1))
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        writer.flush()
    table.before = lambda rows: None
    writer.flush()
    assert table.rows == [1]


def test_a_slow_table_is_waited_for_as_long_as_rows_get_through(
    table: Table, writer: HistoryWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_writer, "WRITERS", 1)
    monkeypatch.setattr(history_writer, "STALLED_SECONDS", 1.0)
    table.before = lambda rows: time.sleep(0.2)
    for epoch in range(1, 801):
        writer.add(row(epoch))
    assert writer.seconds_behind() == 0, "no call has ended yet"
    writer.flush()
    assert len(table.rows) == 800, "in 1.6 s"
    assert writer._call_seconds >= 0.2


def test_what_aws_refuses_is_raised_where_somebody_waits(table: Table, writer: HistoryWriter) -> None:
    def refused(rows: Sequence[EpochRow]) -> None:
        raise NonRetryable("not allowed to write to the table")

    table.before = refused
    writer.add(row(1))
    with pytest.raises(NonRetryable, match="not allowed"):
        writer.flush()


def test_closing_lets_go_whoever_waits(table: Table, writer: HistoryWriter) -> None:
    taken = threading.Event()
    table.before = lambda rows: taken.wait(30)
    writer.add(row(1))
    waiting = threading.Thread(target=writer.flush)
    waiting.start()
    writer.close()
    waiting.join(30)
    assert not waiting.is_alive()
    taken.set()
