"""The order in which tests begin, and what a worker gets: long files first, no test after chaos."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.repository import REPOSITORY
from support.scheduling import CHAOS, FIRST, ByFile, in_order


def items(*paths: str) -> list[Any]:
    return [SimpleNamespace(path=Path(path)) for path in paths]


def stems(found: list[Any]) -> list[str]:
    return [item.path.stem for item in found]


def test_every_file_that_begins_first_is_there() -> None:
    there = {path.stem for path in (REPOSITORY / "tests").rglob("test_*.py")}
    assert set(FIRST) <= there
    assert len(set(FIRST)) == len(FIRST)


def test_long_files_begin_first_and_the_others_keep_their_order() -> None:
    given = items("e2e/test_z.py", "e2e/test_a.py", "chaos/test_chaos.py", "e2e/test_local_cloud.py")
    assert stems(in_order(given, workers=3)) == ["test_local_cloud", "test_chaos", "test_z", "test_a"]


def test_with_one_worker_chaos_is_the_last() -> None:
    given = items("chaos/test_chaos.py", "e2e/test_z.py", "e2e/test_local_cloud.py")
    assert stems(in_order(given, workers=1)) == ["test_local_cloud", "test_z", "test_chaos"]


class Node:
    """A worker that has collected some tests."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.given: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def played(tests: list[str], workers: int, monkeypatch: pytest.MonkeyPatch) -> list[Node]:
    """Workers after they have run all tests, each its next one in turn."""
    monkeypatch.setattr("xdist.scheduler.loadscope.parse_tx_spec_config", lambda config: ["popen"] * workers)
    config = SimpleNamespace(option=SimpleNamespace(loadscopereorder=False))
    scheduler = ByFile(config)  # type: ignore[arg-type]
    nodes: list[Any] = [Node(f"gw{number}") for number in range(workers)]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, tests)
    scheduler.schedule()
    done: dict[Any, int] = dict.fromkeys(nodes, 0)
    while any(done[node] < len(node.given) for node in nodes):
        for node in nodes:
            if done[node] < len(node.given):
                scheduler.mark_test_complete(node, node.given[done[node]])
                done[node] += 1
    return nodes


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_test_runs_once_and_none_after_chaos(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["e2e/test_a.py", "e2e/test_b.py", "chaos/test_chaos.py", *(f"e2e/test_{n}.py" for n in range(6))]
    if workers == 1:
        files.append(files.pop(2))
    tests = [f"tests/{file}::test_{number}" for file in files for number in range(4)]
    nodes = played(tests, workers, monkeypatch)
    assert sorted(index for node in nodes for index in node.given) == list(range(len(tests)))
    of_chaos = [index for index, test in enumerate(tests) if CHAOS in test]
    (worker,) = [node for node in nodes if set(of_chaos) & set(node.given)]
    assert worker.given[-4:] == of_chaos


def test_files_of_terraform_that_share_plans_go_to_one_worker() -> None:
    split = ByFile._split_scope
    scopes = [
        split(None, f"tests/terraform/{name}.py::t")  # type: ignore[arg-type]
        for name in ("test_regions", "test_inventories", "test_upgrade")
    ]
    assert scopes == ["tests/terraform", "tests/terraform", "tests/terraform/test_upgrade.py"]
