"""A folder of pictures, one folder for each class, as a dataset."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lnn.data.splits import held_out
from lnn.errors import InputError
from lnn_client.class_folders import TEST, TRAIN, VALIDATION, ClassFolder, Layout, Part, picture_paths
from lnn_client.dataset_files import Made, hold_out_validation, write_dataset_file, write_names
from lnn_client.errors import PictureError, WhiteUnknown
from lnn_client.pictures import read_picture

if TYPE_CHECKING:
    from h5py import File

HELD_OUT = (TEST, VALIDATION)
"""Parts whose classes are those of the training pictures."""


@dataclass(slots=True)
class Pictures:
    """What a folder held: pictures with their class index, and what was skipped, with the reason."""

    classes: list[str]
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    parts: list[Part | None] = field(default_factory=list)
    """The part of the split that each picture belongs to; None where they are split at random."""
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the pictures for training, testing and validation."""

    train: list[int]
    test: list[int]
    validation: list[int] = field(default_factory=list)


def read_pictures(
    directory: Path,
    layout: Layout,
    shape: tuple[int, ...],
    white: float | None = None,
    step: Callable[[], None] = lambda: None,
) -> Pictures:
    """Reads every picture; ``step`` is called after each file.

    Raises:
        WhiteUnknown: a picture of more than 8 bits does not say which value is white.
        InputError: fewer than two classes have a picture that can be read.
    """
    found = Pictures(classes=[])
    for name, folders in itertools.groupby(layout.folders, key=lambda folder: folder.name):
        _read_class(found, name, list(folders), shape, white, step)
    found.skipped += [f"{path} is in no class's folder" for path in layout.stray]
    if len(found.classes) < 2:
        raise InputError(
            f"{directory} has pictures that can be read in {len(found.classes)} class folder(s), and 2 are needed: "
            + "; ".join(found.skipped[:5])
        )
    return found


def _read_class(
    found: Pictures,
    name: str,
    folders: Sequence[ClassFolder],
    shape: tuple[int, ...],
    white: float | None,
    step: Callable[[], None],
) -> None:
    """Add one class, its training pictures first: without any, it is no class."""
    for folder in sorted(folders, key=lambda folder: folder.part in HELD_OUT):
        images = []
        for path in picture_paths(folder.path):
            try:
                images.append(_read_quietly(path, shape, white))
            except WhiteUnknown:
                raise
            except PictureError as error:
                found.skipped.append(str(error))
            step()
        if not images:
            found.skipped.append(f"{folder.path} holds no picture that can be read, so it is no class")
            if folder.part not in HELD_OUT:
                return
            continue
        if folder.part not in HELD_OUT:
            found.classes.append(name)
        found.labels += [len(found.classes) - 1] * len(images)
        found.parts += [folder.part] * len(images)
        found.images += images


def _read_quietly(path: Path, shape: tuple[int, ...], white: float | None) -> NDArray[np.uint8]:
    """``read_picture`` for one file of many, which must not stop for whatever is wrong with one of them.

    Raises:
        PictureError: it is no picture that can be read.
    """
    try:
        with warnings.catch_warnings():
            # A picture that can be read with something odd in it is no news among many.
            warnings.simplefilter("ignore")
            return read_picture(path, shape, white)
    except PictureError:
        raise
    except Exception as error:
        # Decoders of damaged files raise nearly anything.
        raise PictureError(f"{path} is damaged or cannot be read: {type(error).__name__} {error}") from error


def stratified_split(labels: list[int], test_share: float, seed: int) -> Split:
    """Splits each class by ``test_share``, at random but always alike for one seed.

    A class of two or more pictures keeps at least one on each side; a single picture is for training.

    Raises:
        InputError: no class has a second picture to test with.
    """
    testing = held_out(np.asarray(labels), test_share, seed)
    if not testing.any():
        raise InputError("every class has one picture only, so none is left to test with; add pictures")
    train, test = np.flatnonzero(~testing), np.flatnonzero(testing)
    rng = np.random.default_rng([seed, len(labels)])
    return Split(rng.permutation(train).tolist(), rng.permutation(test).tolist())


def split_of_folders(parts: Sequence[Part | None], seed: int) -> Split:
    """The split that the folders say, in an order that is always alike for one seed.

    Raises:
        InputError: no picture is left to test with.
    """
    rng = np.random.default_rng([seed, len(parts)])
    train, test, validation = (
        rng.permutation([at for at, its in enumerate(parts) if its == part]).astype(int).tolist()
        for part in (TRAIN, TEST, VALIDATION)
    )
    if not test:
        raise InputError("no picture of the test folder can be read, so none is left to test with")
    return Split(train, test, validation)


def with_validation(split: Split, labels: list[int], share: float, seed: int, source: Path) -> Split:
    """The split with a validation set: that share of the training pictures of each class.

    Raises:
        InputError: the split has one, or no class has a second picture to validate with.
    """
    if split.validation:
        raise InputError(f"{source} says by its folders which pictures are for validation; omit --validation")
    training = np.zeros(len(labels), np.bool_)
    training[split.train] = True
    chosen = hold_out_validation(training, np.asarray(labels), share, seed, source)
    rest = [place for place in split.train if not chosen[place]]
    return Split(rest, split.test, [place for place in split.train if chosen[place]])


def write_dataset(path: Path, pictures: Pictures, split: Split) -> Made:
    """Writes the HDF5 file and checks it. A failure leaves nothing behind.

    Raises:
        InputError: it would not be accepted for training.
    """
    images = np.stack(pictures.images)
    labels = np.asarray(pictures.labels, dtype=np.int64)

    def fill(file: File) -> None:
        for name, chosen in ((TRAIN, split.train), (TEST, split.test), (VALIDATION, split.validation)):
            if chosen:
                file.create_dataset(f"{name}_set_x", data=images[chosen])
                file.create_dataset(f"{name}_set_y", data=labels[chosen])
        write_names(file, pictures.classes, [])

    made = Made(pictures.classes, features=images[0].size)
    for counts, chosen in (
        (made.train, split.train), (made.test, split.test), (made.validation, split.validation),
    ):  # fmt: skip
        counts.update(labels[chosen].tolist())
    made.warnings = write_dataset_file(path, path, fill)
    return made
