"""Fixes for common mistakes in datasets: other names, types or labels than expected.

A fix is a line of Python for the arrays ``x`` and ``y`` that the file was written from, or for the file itself.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

OTHER_NAMES = {
    "train_set_x": ("X_train", "x_train", "train_x", "train_X", "trainX", "train_images", "train_data", "train"),
    "train_set_y": ("y_train", "Y_train", "train_y", "train_Y", "trainY", "train_labels", "train_targets"),
    "test_set_x": ("X_test", "x_test", "test_x", "test_X", "testX", "test_images", "test_data", "test"),
    "test_set_y": ("y_test", "Y_test", "test_y", "test_Y", "testY", "test_labels", "test_targets"),
    "list_classes": ("classes", "class_names", "label_names", "target_names", "categories", "names"),
}
"""Names that tutorials and libraries use for each dataset."""

UNDIVIDED = {
    "x": ("images", "data", "X", "x", "features", "inputs"),
    "y": ("labels", "y", "Y", "targets", "target", "label"),
}
"""Names that they use for data not yet split into training and test."""

FILE = 'h5py.File("datasets.h5", "r+")'


def name_mend(name: str, holds: Callable[[str], bool]) -> str:
    """The fix for a file in which ``name`` is missing; ``holds`` tells which names it has. "" if none is known."""
    other = next(filter(holds, OTHER_NAMES.get(name, ())), None)
    if other is not None:
        return f'rename it: {FILE}.move("{other}", "{name}")'
    if name == "list_classes":
        return (
            f'name the classes: {FILE}["list_classes"] = [b"first", b"second"]; or, of numbers to predict, the target: '
            f'{FILE}["list_targets"] = [b"price"]'
        )
    other = next(filter(holds, UNDIVIDED.get(name[-1], ())), None)
    if other is not None:
        chosen = "v[::5]" if name.startswith("test") else "np.delete(v, np.s_[::5], axis=0)"
        return f'keep every fifth example for the test: f = {FILE}; v = f["{other}"][:]; f["{name}"] = {chosen}'
    return ""


def feature_mend(dtype: np.dtype[Any], *, pictures: bool) -> str:
    """How to save examples of a type that is not accepted; "" if they are no numbers."""
    if dtype.kind == "b":
        return 'save it with .astype("float32")'
    if dtype.kind not in "iu":
        return ""
    other = '(x / white).astype("float32"), where white is 65535 in 16 bits' if pictures else '.astype("float32")'
    return f'save it with .astype("uint8") if white is 255, else {other}'


def is_one_hot(shape: tuple[int, ...]) -> bool:
    """True for labels whose shape may be one-hot: a row or a column for each class."""
    return len(shape) == 2 and min(shape) > 1


def one_hot_mend(shape: tuple[int, ...], m: int | None) -> str:
    """How to save one-hot labels of ``m`` examples as indices."""
    return f"of one-hot labels save y.argmax(axis={0 if shape[1] == m != shape[0] else 1})"


def label_type_mend(dtype: np.dtype[Any]) -> str:
    """How to save labels that are not integers; "" if they are neither numbers nor text."""
    if dtype.kind in "fb":
        numbers = ", or leave list_classes out if they are numbers to predict" if dtype.kind == "f" else ""
        return f'save them with .astype("int64"){numbers}'
    if dtype.kind in "SOU":
        return "save np.searchsorted(names, y), and names = np.unique(y) of the training labels as list_classes"
    return ""


def label_mend(y: npt.NDArray[np.integer[Any]], classes: int) -> str:
    """The fix for labels outside 0 to ``classes`` - 1; "" if none is known."""
    low, high = int(y.min()), int(y.max())
    if low >= 1 and high == classes:
        return "they begin at 1: save y - 1"
    if low == -1 and high == 1 and classes == 2 and 0 not in y:
        return 'save (y > 0).astype("int64")'
    return ""
