"""How far an upload is, on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from lnn.text.characters import escaped
from lnn_cli.ui.console import messages


@contextmanager
def upload_bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows an upload of ``total`` bytes; what it gives is called with how many more are sent."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=messages()) as progress:
        task = progress.add_task(escaped(name), total=total)
        yield lambda count: progress.advance(task, count)
