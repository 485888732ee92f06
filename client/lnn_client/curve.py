"""A small curve as SVG: no figure library, since a notebook draws one for each run that it shows."""

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 320, 80


def curve_of(values: Sequence[float]) -> str:
    """The finite ``values`` from left to right, with the first and the last in words for those who do not see it."""
    points = [(place, value) for place, value in enumerate(values) if math.isfinite(value)]
    if len(points) < 2:
        return ""
    low, high = (bound(value for _, value in points) for bound in (min, max))
    span, last = (high - low) or 1.0, points[-1][0]
    line = " ".join(
        f"{place / last * WIDTH:.1f},{HEIGHT - (value - low) / span * HEIGHT:.1f}" for place, value in points
    )
    words = f"cost from {values[0]:.4g} to {values[-1]:.4g}"
    return (
        f'<svg role="img" aria-label="{words}" width="{WIDTH}" height="{HEIGHT}" viewBox="0 -2 {WIDTH} {HEIGHT + 4}">'
        f'<polyline fill="none" stroke="currentColor" points="{line}"/></svg>'
    )
