"""What the suite knows of the invocation that a process works on."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from chaos.cloud import ChaosCloud


def test_a_process_is_at_work_in_one_invocation_and_in_no_later_one(tmp_path: Path) -> None:
    cloud, process = ChaosCloud(tmp_path), psutil.Process()
    note = cloud.folder / "busy" / str(os.getpid())
    note.parent.mkdir(parents=True)
    assert cloud.invocation_of(process) is None
    note.write_text("trainer run-1 first")
    invocation = cloud.invocation_of(process)
    assert cloud.busy("trainer", "run-1") == [process]
    assert cloud.busy("trainer", "run") == []
    assert cloud.is_at_work(process, invocation)
    note.write_text("watch watch second")
    assert not cloud.is_at_work(process, invocation)
    note.unlink()
    assert not cloud.is_at_work(process, invocation)
    assert not cloud.is_at_work(process, None)
