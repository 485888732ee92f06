"""The summary of a checked dataset."""

from dataclasses import dataclass, field

from lnn.data.borders import Border
from lnn.data.splits import held_out_count
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
    border: Border | None = None
    """Brightness of the training pictures' borders; None for other examples."""
    columns: list[str] = field(default_factory=list)
    """The columns of the table that the features were made of: see ``lnn.data.preprocessing``; empty for others."""
    targets: list[str] = field(default_factory=list)
    """Names of the numbers to predict, in regression; then there are no classes."""
    class_counts: list[int] = field(default_factory=list)
    """Training examples of each class; empty in regression."""
    m_validation: int = 0
    """Examples of the file's own validation set."""
    weighted: bool = False
    """Whether the training examples have weights."""
    warnings: list[str] = field(default_factory=list)
    """Likely mistakes that do not prevent training, as ``dataset: found what is there; what helps``."""

    def divided(self, share: float | None) -> tuple[int, int]:
        """Examples to train with and to validate with, where a run holds out ``share`` of the training set."""
        held_out = held_out_count(self.class_counts or [self.m], share) if share is not None else 0
        return self.m - held_out, held_out or self.m_validation
