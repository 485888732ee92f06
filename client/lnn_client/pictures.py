"""Pictures on disk as arrays, with errors that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lnn_cli.ui.errors import CliError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WhiteUnknown(CliError):
    """A picture of more than 8 bits does not say which value is white; the user can."""


def read_picture(path: Path, shape: tuple[int, ...], white: float | None = None) -> NDArray[np.uint8]:
    """The picture in a file of any format, resized to ``shape``: see ``lnn.data.images``.

    Raises:
        WhiteUnknown: nothing says which value is white.
        CliError: it is no picture that can be read, or ``shape`` is not that of a picture.
    """
    from lnn.data import images

    try:
        return images.read_picture(path, shape, white=white)
    except FileNotFoundError:
        raise CliError(f"{path} does not exist") from None
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}; check the path and its permissions") from error
    except images.PictureUnclear as error:
        whites = dict.fromkeys((error.usual_white, images.DEEP_WHITE))
        said = ", or ".join(f"--white {usual}" for usual in whites)
        raise WhiteUnknown(f"{path}: {error}; say which value is white, such as {said}") from error
    except (images.NotAPicture, images.PictureTooLarge, images.PictureDamaged) as error:
        raise CliError(f"{path}: {error}") from error
    except ValueError as error:
        raise CliError(str(error)) from error
