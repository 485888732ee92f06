"""The progress of a run on a terminal, drawn anew at every look."""

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lnn_cli.ui.console import STATUS_STYLES
from lnn_cli.ui.progress import AtWork, RunView, figures_of, pace_texts
from lnn_cli.ui.sparkline import BLOCKS, PLAIN, sparkline
from lnn_client.progress import Look
from lnn_client.runs import waiting

_SHORTEST_BAR, _LONGEST_BAR = 10, 30
"""Columns; where there is less room than that beside the figures, the bar has a line of its own."""
_CURVE_WIDTH = 32
_TROUBLE = ("took over", "trained again", "failed")


class LiveView(RunView):
    """A few lines that are drawn anew at every look: bar, cost as a curve, scores, pace, what is left, generation."""

    draws_curve = True

    def __init__(self, console: Console, at_work: AtWork | None = None) -> None:
        super().__init__(at_work)
        self._console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, look: Look) -> None:
        """Draws the lines anew, below what has happened since the last look."""
        for event in self.news(look.run):
            trouble = any(word in event for word in _TROUBLE)
            self._console.print(event, style="yellow" if trouble else "dim", markup=False)
        self._pace.see(look.run.epoch, monotonic())
        self._live.update(self._view(look), refresh=True)

    def _view(self, look: Look) -> RenderableType:
        run = look.run
        epoch, epochs = run.epoch, run.epochs
        status = Text(run.status, style=STATUS_STYLES.get(run.status, ""))
        lines: list[RenderableType] = []
        if epochs:
            counted = Text(f"epoch {epoch:,}/{epochs:,}  {epoch / epochs:.0%}")
            room = self._console.width - len(status) - len(counted) - 5
            if room >= _SHORTEST_BAR:
                bar = ProgressBar(total=epochs, completed=epoch, width=min(room, _LONGEST_BAR))
                lines.append(_side_by_side(status, bar, counted))
            else:
                bar = ProgressBar(total=epochs, completed=epoch, width=self._console.width - 3)
                lines += [*_flow([status, counted], self._console.width), _side_by_side(bar)]
        else:
            lines.append(status)
        return Group(*lines, *_flow(self._figures(look), self._console.width))

    def _figures(self, look: Look) -> Iterator[Text]:
        """What to tell besides the epochs, in pieces that stay in one line."""
        run = look.run
        if waits_for := waiting(run):
            yield Text(waits_for, style="yellow")
        figures = figures_of(look)
        if figures:
            cost, *scores = figures
            steps = PLAIN if self._console.options.ascii_only else BLOCKS
            room = min(_CURVE_WIDTH, self._console.width - len(cost) - 1)
            yield Text(f"{cost} {sparkline([row.cost for row in look.history], room, steps)}".rstrip())
            yield from map(Text, scores)
        yield from map(Text, pace_texts(self._pace, run))
        if self._at_work and (at_work := self._at_work.text(run)):
            yield Text(at_work)
        if run.generation > 1:
            yield Text(f"generation {run.generation}", style="yellow")
        taken_over = run.disturbances["takeovers"]
        if taken_over:
            yield Text(f"taken over {taken_over} time{'' if taken_over == 1 else 's'}", style="yellow")


def _side_by_side(*parts: RenderableType) -> RenderableType:
    line = Table.grid(padding=(0, 2, 0, 0))
    line.add_row(*parts)
    return line


def _flow(pieces: Iterable[Text], width: int) -> list[Text]:
    """The pieces in as few lines as they fit, two blanks between them; none is broken unless it alone is too long."""
    lines: list[Text] = []
    for piece in pieces:
        if lines and len(lines[-1]) + 2 + len(piece) < width:
            lines[-1].append("  ").append_text(piece)
        else:
            lines.append(piece.copy())
    return lines
