"""Pictures on disk as arrays, with errors that name the file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lnn.data import images
from lnn_client.errors import PictureError, WhiteUnknown


def read_picture(path: Path, shape: tuple[int, ...], white: float | None = None) -> NDArray[np.uint8]:
    """The picture in a file of any format, resized to ``shape``: see ``lnn.data.images``.

    Raises:
        WhiteUnknown: nothing says which value is white.
        PictureError: it is no picture that can be read, or ``shape`` is not that of a picture.
    """
    try:
        return images.read_picture(path, shape, white=white)
    except FileNotFoundError:
        raise PictureError(f"{path} does not exist") from None
    except OSError as error:
        raise PictureError(f"{path}: {error.strerror}; check the path and its permissions") from error
    except images.PictureUnclear as error:
        raise WhiteUnknown(f"{path}: {error}", list(dict.fromkeys((error.usual_white, images.DEEP_WHITE)))) from error
    except (images.NotAPicture, images.PictureTooLarge, images.PictureDamaged) as error:
        raise PictureError(f"{path}: {error}") from error
    except ValueError as error:
        raise PictureError(str(error)) from error
