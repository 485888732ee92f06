"""A folder of pictures, one folder for each class, as a dataset."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lnn_cli.errors import CliError
from lnn_cli.pictures import read_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True)
class Pictures:
    """What a folder held: pictures with their class index, and what was skipped, with the reason."""

    classes: list[str]
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the pictures for training and for testing."""

    train: list[int]
    test: list[int]


def class_folders(directory: Path) -> list[Path]:
    """The folders whose names are the classes, in order of name.

    Raises:
        CliError: there are fewer than two.
    """
    if not directory.is_dir():
        raise CliError(f"{directory} is not a folder; name one that holds a folder for each class")
    folders = sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(folders) < 2:
        found = f"only {folders[0].name}/" if folders else "none"
        raise CliError(
            f"{directory} must hold a folder of pictures for each of at least 2 classes, such as "
            f"{directory}/cat and {directory}/dog; found {found}"
        )
    return folders


def picture_paths(folder: Path) -> list[Path]:
    """Every file below a class's folder that is not hidden, in order of name."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_pictures(directory: Path, shape: tuple[int, ...], step: Callable[[], None] = lambda: None) -> Pictures:
    """Reads every picture; ``step`` is called after each file.

    Raises:
        CliError: fewer than two classes have a picture that can be read.
    """
    folders = [(folder, picture_paths(folder)) for folder in class_folders(directory)]
    found = Pictures(classes=[])
    for folder, paths in folders:
        images = []
        for path in paths:
            try:
                images.append(_read_quietly(path, shape))
            except CliError as error:
                found.skipped.append(str(error))
            step()
        if images:
            found.labels += [len(found.classes)] * len(images)
            found.images += images
            found.classes.append(folder.name)
        else:
            found.skipped.append(f"{folder} holds no picture that can be read, so it is no class")
    outside = [path for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")]
    found.skipped += [f"{path} is in no class's folder" for path in sorted(outside)]
    if len(found.classes) < 2:
        raise CliError(
            f"{directory} has pictures that can be read in {len(found.classes)} class folder(s), and 2 are needed: "
            + "; ".join(found.skipped[:5])
        )
    return found


def _read_quietly(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """``read_picture`` for one file of many, which must not stop for whatever is wrong with one of them.

    Raises:
        CliError: it is no picture that can be read.
    """
    try:
        with warnings.catch_warnings():
            # A picture that can be read with something odd in it is no news among many.
            warnings.simplefilter("ignore")
            return read_picture(path, shape)
    except CliError:
        raise
    except Exception as error:
        # Decoders of damaged files raise nearly anything.
        raise CliError(f"{path} is damaged or cannot be read: {type(error).__name__} {error}") from error


def stratified_split(labels: list[int], test_share: float, seed: int) -> Split:
    """Splits each class by ``test_share``, at random but always alike for one seed.

    A class of two or more pictures keeps at least one on each side; a single picture is for training.

    Raises:
        CliError: no class has a second picture to test with.
    """
    import numpy as np

    train: list[int] = []
    test: list[int] = []
    for label, count in sorted(Counter(labels).items()):
        of_class = np.flatnonzero(np.asarray(labels) == label)
        shuffled = np.random.default_rng([seed, label]).permutation(of_class).tolist()
        held_out = min(max(1, round(count * test_share)), count - 1)
        test += shuffled[:held_out]
        train += shuffled[held_out:]
    if not test:
        raise CliError("every class has one picture only, so none is left to test with; add pictures")
    rng = np.random.default_rng([seed, len(labels)])
    return Split(rng.permutation(train).tolist(), rng.permutation(test).tolist())


def write_dataset(path: Path, pictures: Pictures, split: Split) -> None:
    """Writes the HDF5 file; a failure leaves no half of one behind."""
    import h5py
    import numpy as np

    images = np.stack(pictures.images)
    labels = np.asarray(pictures.labels, dtype=np.int64)
    unfinished = path.with_name(path.name + ".part")
    try:
        with h5py.File(unfinished, "w") as file:
            for name, chosen in (("train", split.train), ("test", split.test)):
                file.create_dataset(f"{name}_set_x", data=images[chosen])
                file.create_dataset(f"{name}_set_y", data=labels[chosen])
            file.create_dataset("list_classes", data=[name.encode() for name in pictures.classes])
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
