"""The picture of the flow, an SVG drawn from the boxes and arrows in docs/flow.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

LINE = 17
"""Pixels from a line of text to the next."""
GAP = 3
"""Pixels between a box and the arrow that ends there."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line between two boxes, from border to border."""

    x1: float
    y1: float
    x2: float
    y2: float


def draw(source: Path) -> str:
    """The SVG of the boxes and arrows in ``source``. Raises KeyError for an arrow to a box that is not there."""
    picture = tomllib.loads(source.read_text())
    boxes = picture["boxes"]
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    return environment.get_template("flow.svg.j2").render(
        picture,
        boxes=[box | {"lines": _lines(box)} for box in boxes.values()],
        arrows=[
            arrow | {"line": _between(*(boxes[end]["at"] for end in arrow["ends"]), arrow.get("aside", 0))}
            for arrow in picture["arrows"]
        ],
        pixels=LINE,
    )


def _lines(box: dict[str, Any]) -> list[tuple[str, str, float, float]]:
    """Class, text and place of each line in a box, the lines together in its middle."""
    left, top, width, height = box["at"]
    lines = [("name", box["name"])] if "name" in box else []
    lines += [("text", text) for text in box["text"]]
    first = top + (height - LINE * (len(lines) - 1)) / 2 + 4
    return [(kind, text, left + width / 2, first + LINE * row) for row, (kind, text) in enumerate(lines)]


def _between(start: list[float], end: list[float], aside: float) -> Line:
    (x1, y1), (x2, y2) = _middle(start), _middle(end)
    length = hypot(x2 - x1, y2 - y1)
    along = (x2 - x1) / length, (y2 - y1) / length
    x, y = x1 - along[1] * aside, y1 + along[0] * aside
    to_border = _reach(start, along, (x - x1, y - y1))
    from_border = _reach(end, (-along[0], -along[1]), (x - x1, y - y1))
    return Line(
        round(x + along[0] * (to_border + GAP), 1),
        round(y + along[1] * (to_border + GAP), 1),
        round(x + along[0] * (length - from_border - GAP), 1),
        round(y + along[1] * (length - from_border - GAP), 1),
    )


def _middle(box: list[float]) -> tuple[float, float]:
    left, top, width, height = box
    return left + width / 2, top + height / 2


def _reach(box: list[float], along: tuple[float, float], shift: tuple[float, float]) -> float:
    """How far it is from a box's middle, shifted, along a direction to its border."""
    halves = box[2] / 2, box[3] / 2
    reaches = [
        ((half if step > 0 else -half) - moved) / step
        for half, step, moved in zip(halves, along, shift, strict=True)
        if abs(step) > 1e-9
    ]
    return min(reaches)
