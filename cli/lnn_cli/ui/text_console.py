"""Rich's console without its markup: what it prints may come from anywhere."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lnn.text.characters import escaped


class TextConsole(Console):
    """Prints text as text: no markup and no emoji codes in it, and unsafe characters as escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as it is measured and printed."""
        return super().render_str(escaped(text, "\n"), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of anything printable; Rich's own control segments stay as they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(escaped(segment.text, "\n"), segment.style)
