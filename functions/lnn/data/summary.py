"""The summary of a checked dataset."""

from dataclasses import dataclass, field

from lnn.data.value_range import Range


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """The properties of a data set that the rest of the system uses without reading it."""

    m: int
    m_test: int
    features: int
    classes: list[str]
    image_shape: tuple[int, ...] | None
    """(h, w, c) or (h, w) of one example; None for rows of features."""
    dtype: str
    """numpy's name of the training examples' dtype."""
    scale: float
    """``standardize`` divides by this: 255 for uint8, 1 for most floats; see ``lnn.data.value_range``."""
    value_range: Range | None = None
    """The stored values of black and of white; None for rows of floats."""
    columns: list[str] = field(default_factory=list)
    """The columns of the table that the features were made of: see ``lnn.data.preprocessing``; empty for others."""
    targets: list[str] = field(default_factory=list)
    """Names of the numbers to predict, in regression; then there are no classes."""
    variation: list[float] = field(default_factory=list)
    """Of each target, ``lnn.network.variation_of`` the training examples."""
    test_variation: list[float] = field(default_factory=list)
    class_counts: list[int] = field(default_factory=list)
    """Training examples of each class; empty in regression."""
    warnings: list[str] = field(default_factory=list)
    """Likely mistakes that do not prevent training, as ``dataset: found what is there; what helps``."""
