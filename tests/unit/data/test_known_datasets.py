"""A dataset with the same bytes is checked once by a process; one byte of difference, or a refusal, is checked anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from lnn.data.known_datasets import MOST, KnownDatasets
from lnn.data.summary import DatasetSummary
from lnn.errors import DatasetError

LIMIT = 2**20


class Check:
    """Says what is in a file, by its length, and keeps which files it was asked about."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def __call__(self, path: Path, limit: int) -> DatasetSummary:
        self.asked.append((path.name, limit))
        if path.read_bytes() == b"bad":
            raise DatasetError("it is bad")
        return DatasetSummary(len(path.read_bytes()), 1, 1, ["a", "b"], None, "uint8", 255.0)


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_the_same_bytes_under_another_name_are_not_checked_again(tmp_path: Path) -> None:
    known, check = KnownDatasets(), Check()
    first = known.summary(written(tmp_path, "one", b"same"), LIMIT, check)
    assert known.summary(written(tmp_path, "two", b"same"), LIMIT, check) == first
    assert check.asked == [("one", LIMIT)]
    first.classes.append("c")
    assert known.summary(tmp_path / "one", LIMIT, check).classes == ["a", "b"]


def test_other_bytes_of_the_same_name_and_length_are_checked(tmp_path: Path) -> None:
    known, check = KnownDatasets(), Check()
    for content in (b"same", b"Same", b"same!"):
        assert known.summary(written(tmp_path, "one", content), LIMIT, check).m == len(content)
    assert len(check.asked) == 3


def test_a_check_within_another_limit_is_another_check(tmp_path: Path) -> None:
    known, check = KnownDatasets(), Check()
    path = written(tmp_path, "one", b"same")
    for limit in (LIMIT, LIMIT // 2, LIMIT):
        known.summary(path, limit, check)
    assert check.asked == [("one", LIMIT), ("one", LIMIT // 2)]


def test_a_refusal_is_not_kept(tmp_path: Path) -> None:
    known, check = KnownDatasets(), Check()
    for _ in range(2):
        with pytest.raises(DatasetError):
            known.summary(written(tmp_path, "one", b"bad"), LIMIT, check)
    assert len(check.asked) == 2


def test_only_the_last_few_are_kept(tmp_path: Path) -> None:
    known, check = KnownDatasets(), Check()
    paths = [written(tmp_path, str(number), b"x" * (number + 1)) for number in range(MOST + 1)]
    for path in (*paths[:-1], paths[0], paths[-1], paths[0], paths[1]):
        known.summary(path, LIMIT, check)
    assert [name for name, _ in check.asked] == [*(path.name for path in paths), "1"]
