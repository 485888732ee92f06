"""Pictures of any size and format as arrays of one shape: for datasets, and for predictions alike."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnn_cli.errors import CliError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

COLOURS = 3


def read_picture(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The picture, upright, resized to ``shape``: (h, w) is grey, (h, w, 1) too, (h, w, 3) is RGB.

    What is transparent becomes white; of an animation the first frame is taken. The picture is
    stretched to the shape, not cut.

    Raises:
        CliError: it is no picture that can be read, or ``shape`` is not that of a picture.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    grey = _is_grey(shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened)
                plain = _flatten(upright, grey=grey)
    except FileNotFoundError:
        raise CliError(f"{path} does not exist") from None
    except UnidentifiedImageError:
        raise CliError(f"{path} is not a picture in a format that can be read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise CliError(f"{path} has too many pixels; make it smaller") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise CliError(f"{path} is damaged or cannot be read: {error}") from error
    height, width = shape[0], shape[1]
    resized = plain.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.uint8).reshape(shape)


def _is_grey(shape: tuple[int, ...]) -> bool:
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return True
    if len(shape) == 3 and shape[2] == COLOURS:
        return False
    raise CliError(f"examples of shape {shape} are no pictures: expected (height, width) or (height, width, 3)")


def _flatten(picture: Image, *, grey: bool) -> Image:
    """8 bits a channel, no transparency."""
    from PIL import Image

    if picture.mode.startswith("I;16"):
        picture = _eight_bits(picture)
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        picture = Image.alpha_composite(white, layer)
    return picture.convert("L" if grey else "RGB")


def _eight_bits(picture: Image) -> Image:
    """Pillow would clip 16-bit greys at 255: scale them instead."""
    import numpy as np
    from PIL import Image

    deep: NDArray[Any] = np.asarray(picture)
    return Image.fromarray((deep >> 8).astype(np.uint8))
