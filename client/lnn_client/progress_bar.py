"""A bar for the run that a program waits for: a line of a terminal, or a part of a notebook's cell."""

from __future__ import annotations

import sys
from html import escape
from typing import Any, TextIO

from lnn_client.progress import Look

WIDTH = 30
_CLEAR = "\r\x1b[K"
"""To the line's start, and nothing behind it (ECMA-48, EL)."""


class ProgressBar:
    """Shows each look at a run, in place of the one before.

    Args:
        stream: The terminal; None: standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._cell: Any = None
        """What IPython changes, once something is shown there."""
        self._has_line = False

    def __call__(self, look: Look) -> None:
        if _in_notebook():
            self._show_in_cell(look)
        elif self._stream.isatty():
            self._has_line = True
            self._stream.write(_CLEAR + in_a_line(look))
            self._stream.flush()

    def close(self) -> None:
        """Leave the last look where it is."""
        if self._has_line:
            self._stream.write("\n")
            self._stream.flush()
            self._has_line = False

    def _show_in_cell(self, look: Look) -> None:
        from IPython.display import display

        # The line is for what shows no HTML.
        shown = {"text/html": in_html(look), "text/plain": in_a_line(look)}
        if self._cell is None:
            self._cell = display(shown, raw=True, display_id=True)
        else:
            self._cell.update(shown, raw=True)


def in_a_line(look: Look) -> str:
    """The bar and the figures."""
    done = round(WIDTH * look.run.epoch / look.run.epochs) if look.run.epochs else 0
    return f"[{'#' * done}{'.' * (WIDTH - done)}] {_told(look)}"


def in_html(look: Look) -> str:
    """The same for a notebook."""
    value, most = look.run.epoch, look.run.epochs or 1
    return f'<progress value="{value}" max="{most}"></progress> {escape(_told(look))}'


def _told(look: Look) -> str:
    """Status, epoch and cost: accuracy stands beside recall, which only the end knows."""
    run = look.run
    of = "" if run.epochs is None else f"/{run.epochs}"
    cost = "" if look.row is None else f", cost {look.row.cost:.4g}"
    return f"{run.status}, epoch {run.epoch}{of}{cost}"


def _in_notebook() -> bool:
    """Whether this is a kernel of Jupyter: IPython in a terminal has none."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None
