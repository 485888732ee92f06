"""Both pages have the same colors, each in a file of its own: the prediction page lies in a function's archive."""

from __future__ import annotations

import re
from pathlib import Path

from support.repository import REPOSITORY

PAGES = ("functions/predict/style.css", "cli/lnn_cli/view/page/view.css")


def colors(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The colors of a style sheet in light and in dark mode, by name."""
    light, dark = re.findall(r":root \{(.*?)\}", path.read_text(encoding="utf-8"), re.DOTALL)
    return tuple(dict(re.findall(r"--([a-z-]+): (#\w+);", block)) for block in (light, dark))  # type: ignore[return-value]


def test_a_color_of_both_pages_is_one_color() -> None:
    for one, other in zip(*(colors(REPOSITORY / page) for page in PAGES), strict=True):
        shared = one.keys() & other.keys()
        assert len(shared) > 8
        assert {name: one[name] for name in shared} == {name: other[name] for name in shared}
