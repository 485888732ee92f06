"""Examples of a dataset as pictures, a row for each class."""

from pathlib import Path

import numpy as np
from matplotlib.figure import FigureBase

from lnn.data.axis_order import is_picture
from lnn.data.dataset import DatasetSummary
from lnn.data.hdf5 import open_file
from lnn.data.value_range import bytes_of
from lnn_cli.ui.charts import WIDTH, Chart, Theme, without_ticks
from lnn_cli.ui.errors import CliError

MOST_CLASSES = 40
_NAME_WIDTH = 1.3
"""Inches beside the pictures."""


def grid(file: Path, summary: DatasetSummary, split: str, columns: int, seed: int) -> Chart:
    """``columns`` examples of each class, drawn at random, of the ``train`` or the ``test`` examples.

    Raises:
        CliError: the examples are no pictures, or have no classes.
    """
    shape, value_range = summary.image_shape, summary.value_range
    if shape is None or value_range is None or not is_picture(shape):
        what = f"have {summary.features} plain features" if shape is None else f"have the shape {shape}"
        raise CliError(f"{file}: its examples {what}, so there are no pictures to show: only gray and RGB can be")
    if not summary.classes:
        raise CliError(f"{file}: its labels are numbers, so there are no classes to show a row of each")
    shown = min(len(summary.classes), MOST_CLASSES)
    rng = np.random.default_rng(seed)
    with open_file(file) as stored:
        labels = stored.dataset(f"{split}_set_y")[...].ravel()
        chosen = []
        for label in range(shown):
            of_class = np.flatnonzero(labels == label)
            # In ascending order: h5py reads no other.
            chosen.append(np.sort(rng.permutation(of_class)[:columns]))
        stored_examples = stored.dataset(f"{split}_set_x")
        examples = [stored_examples[positions] for positions in chosen]
    side = (WIDTH - _NAME_WIDTH) / columns

    def draw(figure: FigureBase, _: Theme) -> None:
        figure.suptitle(f"{file.name}: {'test' if split == 'test' else 'training'} examples, a row for each class")
        panels = figure.subplots(shown, columns, squeeze=False)
        for row, pictures, name in zip(panels, examples, summary.classes, strict=False):
            for axes, stored_values in zip(row, pictures, strict=False):
                pixels = bytes_of(stored_values, value_range)
                axes.imshow(pixels[..., 0] if shape[2:] == (1,) else pixels, cmap="gray", vmin=0, vmax=255)
            for axes in row:
                without_ticks(axes)
                axes.set_frame_on(False)
            row[0].set_ylabel(name[:20], rotation=0, ha="right", va="center")

    left_out = f"; {len(summary.classes) - shown} more classes are not shown" if shown < len(summary.classes) else ""
    counts = ", ".join(f"{name} {int((labels == label).sum())}" for label, name in enumerate(summary.classes[:shown]))
    return Chart("grid", file.name, f"examples by class: {counts}{left_out}", 0.5 + (side + 0.05) * shown, draw)
