"""The layout of a folder of pictures: which class, and which part of the split, each folder in it holds."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lnn.data.class_names import clash, flaw, kept
from lnn.errors import InputError
from lnn.text.characters import quoted
from lnn_client.errors import AmbiguousFolders

Part = Literal["train", "test", "validation"]
TRAIN: Part = "train"
TEST: Part = "test"
VALIDATION: Part = "validation"

_PARTS = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("test", "testing"), TEST),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
}
"""The part of the split that a folder of this name holds, whatever its case."""


@dataclass(frozen=True, slots=True)
class ClassFolder:
    """A folder whose pictures are all of one class."""

    name: str
    path: Path
    part: Part | None = None
    """The part of the split that its pictures belong to; None where they are split at random."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of all classes, in order of class; and what lies beside them."""

    folders: list[ClassFolder]
    is_split: bool = False
    """Whether folders named train and test, and maybe validation, say which pictures are for which."""
    stray: list[Path] = field(default_factory=list)
    """Files in no class's folder."""

    @property
    def classes(self) -> list[str]:
        return list(dict.fromkeys(folder.name for folder in self.folders))


def find_layout(directory: Path, *, split_folders: bool = True) -> Layout:
    """What the folders in ``directory`` are: classes, or train and test with the classes in them.

    With ``split_folders`` off, folders named train or test are classes as any other.

    Raises:
        InputError: it is no folder, holds fewer than two classes, or can be read in two ways.
    """
    if not directory.is_dir():
        raise InputError(f"{directory} is not a folder; name one that holds a folder for each class")
    folders = _folders(directory)
    parts = {folder: part for folder in folders if (part := _part(folder)) is not None} if split_folders else {}
    if parts:
        _refuse_two_readings(directory, folders, parts)
        return _split(directory, parts)
    if split_folders:
        _refuse_split_inside(folders)
    layout = Layout([ClassFolder(_class_name(folder), folder) for folder in folders], stray=_files(directory))
    _check_classes(directory, layout.classes, _spellings(layout.folders))
    return layout


def picture_paths(folder: Path) -> list[Path]:
    """Every file below a class's folder that is not hidden, in order of name."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _split(directory: Path, parts: dict[Path, str]) -> Layout:
    """The layout of train and test with a folder for each class in both."""
    found = [
        ClassFolder(_class_name(folder), folder, part)
        for part in (TRAIN, TEST, VALIDATION)
        for at in _of(parts, part)
        for folder in _folders(at)
    ]
    found.sort(key=lambda folder: folder.name)
    by_part = {part: [folder for folder in found if folder.part == part] for part in (TRAIN, TEST, VALIDATION)}
    classes = sorted({folder.name for folder in found})
    for names in (*map(_spellings, by_part.values()), classes):
        _check_classes(directory, classes, names)
    learned = {folder.name for folder in by_part[TRAIN]}
    for part in (TEST, VALIDATION):
        unknown = [name for name in classes if name not in learned and name in {one.name for one in by_part[part]}]
        if unknown:
            raise InputError(
                f"{directory} has {part} pictures of {_listed(unknown)} and no training pictures: name the folders in "
                f"train and {part} alike, or remove those of a class that nothing teaches"
            )
    stray = [*_files(directory), *(path for at in parts for path in _files(at))]
    return Layout(found, is_split=True, stray=stray)


def _refuse_two_readings(directory: Path, folders: Sequence[Path], parts: dict[Path, str]) -> None:
    """Names such as train are the split only where nothing speaks against it.

    Raises:
        AmbiguousFolders: they may be classes as well; spells out both readings.
    """
    others = [folder for folder in folders if folder not in parts]
    flat = [folder for folder in parts if not _folders(folder)]
    doubled = [at for part in dict.fromkeys(parts.values()) if len(at := _of(parts, part)) > 1]
    missing = [part for part in (TRAIN, TEST) if not _of(parts, part)]
    if others:
        found = f"{_slashed(parts)} beside {_slashed(others)}"
        mend = f"move the others into them, as {next(iter(parts)).name}/{others[0].name}"
    elif flat:
        found = f"{_slashed(flat)} without a folder for each class in it"
        mend = f"sort its pictures into such folders, as {flat[0].name}/cat and {flat[0].name}/dog"
    elif doubled:
        found = f"{_slashed(doubled[0])}, which are the same part of the split"
        mend = "join them to one folder"
    elif missing:
        found = f"{_slashed(parts)} and nothing named {missing[0]}"
        mend = _mend_of_missing(directory, parts, missing[0])
    else:
        return
    raise AmbiguousFolders(
        f"{directory} holds {found}, which can be read in two ways: if {_slashed(parts)} is the split, {mend}; "
        "or every folder is a class"
    )


def _mend_of_missing(directory: Path, parts: dict[Path, str], missing: str) -> str:
    validation = _of(parts, VALIDATION)
    training = _of(parts, TRAIN)
    renamed = f"rename {validation[0].name}/ to {missing}/ to use its pictures so" if validation else ""
    held_back = f"name {training[0]} in place of {directory} to hold a share of it back" if training else ""
    return ", or ".join(filter(None, (renamed, held_back))) or f"add {missing}/ with a folder for each class"


def _refuse_split_inside(folders: Iterable[Path]) -> None:
    """Raises AmbiguousFolders for a class with train and test in it: joined, test pictures would be trained on."""
    for folder in folders:
        inside = [below for below in _folders(folder) if _part(below) is not None]
        if len({_part(below) for below in inside}) > 1:
            turned = ", ".join(f"{below.name}/{folder.name}" for below in inside)
            raise AmbiguousFolders(
                f"{folder} holds {_slashed(inside)}, which can be read in two ways: if they are the split, turn the "
                f"order around, as {turned}; or all their pictures are one heap of {folder.name}"
            )


def _check_classes(directory: Path, classes: Sequence[str], names: Iterable[str]) -> None:
    """Raises InputError for fewer than two classes, and for names of folders that are one name."""
    if len(classes) < 2:
        raise InputError(
            f"{directory} must hold a folder of pictures for each of at least 2 classes, such as "
            f"{directory}/cat and {directory}/dog; found {f'only {classes[0]}/' if classes else 'none'}"
        )
    if problem := clash(names):
        raise InputError(f"{directory}: the folders' names are the classes: {problem}")


def _spellings(folders: Iterable[ClassFolder]) -> list[str]:
    return [folder.path.name for folder in folders]


def _class_name(folder: Path) -> str:
    """The class whose pictures a folder holds, by its name.

    Raises:
        InputError: the name is not UTF-8, or cannot be shown.
    """
    name = kept(folder.name)
    try:
        name.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(folder.name)
        raise InputError(
            f"the folder {raw!r} in {folder.parent} has a name that is not UTF-8, and it would be a class's name; "
            f"rename it, or all that are so: convmv -f latin1 -t utf8 -r --notest {folder.parent}"
        ) from None
    if wrong := flaw(name):
        raise InputError(
            f"the folder {quoted(folder.name)} in {folder.parent} has a name {wrong}, and it would be a class's name; "
            "rename it"
        )
    return name


def part_named(name: str) -> str | None:
    """The part of the split that a name stands for; None for another name."""
    return _PARTS.get(name.strip().casefold())


def _part(folder: Path) -> str | None:
    return part_named(folder.name)


def _of(parts: dict[Path, str], part: str) -> list[Path]:
    return [folder for folder, its_part in parts.items() if its_part == part]


def _folders(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))


def _slashed(folders: Iterable[Path]) -> str:
    return _listed([f"{folder.name}/" for folder in folders])


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:5], *([f"{len(names) - 5} more"] if len(names) > 5 else [])]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))
