"""Pictures on disk as arrays, with errors that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lnn_cli.errors import CliError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_picture(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The picture in a file of any format, resized to ``shape``: see ``lnn.pictures``.

    Raises:
        CliError: it is no picture that can be read, or ``shape`` is not that of a picture.
    """
    from lnn import pictures

    try:
        return pictures.read_picture(path, shape)
    except FileNotFoundError:
        raise CliError(f"{path} does not exist") from None
    except pictures.NotAPicture:
        raise CliError(f"{path} is not a picture in a format that can be read") from None
    except pictures.PictureTooLarge:
        raise CliError(f"{path} has too many pixels; make it smaller") from None
    except pictures.PictureDamaged as error:
        raise CliError(f"{path}: {error}") from error
    except ValueError as error:
        raise CliError(str(error)) from error
