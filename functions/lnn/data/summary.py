"""What a checked dataset is, in a few values."""

from __future__ import annotations

from dataclasses import dataclass, field

from lnn.data.value_range import Range


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What the rest of the system needs to know of a data set before, or without, reading it."""

    m: int
    m_test: int
    features: int
    classes: list[str]
    image_shape: tuple[int, ...] | None
    """(h, w, c) or (h, w) of one example; None for rows of features."""
    dtype: str
    """numpy's name of the type the training examples are stored in."""
    scale: float
    """What ``standardize`` divides by: 255 for uint8, 1 for most floats; see ``lnn.data.value_range``."""
    value_range: Range | None = None
    """The stored values of black and of white; None for rows of floats."""
    warnings: list[str] = field(default_factory=list)
    """What can be trained on and is likely a mistake, as ``dataset: found what is there; what helps``."""
