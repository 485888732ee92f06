"""Pictures of any size as arrays of one shape: for datasets, and for predictions alike. The one home of Pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lnn.errors import LnnError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

COLOURS = 3

DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error, zlib.error),
)
"""What Pillow's decoders raise for files that are not what they say."""


class NotAPicture(LnnError):
    """The file is no picture in a format that can be read."""


class PictureTooLarge(LnnError):
    """The picture has too many pixels."""


class PictureDamaged(LnnError):
    """The file begins like a picture and goes on like something else."""


def read_picture(
    source: Path | IO[bytes],
    shape: Sequence[int],
    *,
    formats: tuple[str, ...] | None = None,
    max_pixels: int | None = None,
    max_side: int | None = None,
) -> NDArray[np.uint8]:
    """The picture, upright, resized to ``shape``: (h, w) is grey, (h, w, 1) too, (h, w, 3) is RGB.

    What is transparent becomes white; of an animation the first frame is taken. The picture is stretched to the
    shape, not cut. ``formats`` are Pillow's names of those to accept. The limits are checked before anything is
    decoded.

    Raises:
        NotAPicture, PictureTooLarge, PictureDamaged: what each says.
        FileNotFoundError: ``source`` is a path, and nothing is there.
        ValueError: ``shape`` is not that of a picture.
    """
    import numpy as np
    from PIL import Image, ImageOps, UnidentifiedImageError

    grey = is_grey(shape)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as opened:
                _check_size(opened, max_pixels, max_side)
                plain = _flatten(ImageOps.exif_transpose(opened), grey=grey)
    except FileNotFoundError:
        raise
    except UnidentifiedImageError:
        raise NotAPicture("it is not a picture in a format that can be read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge("it has too many pixels; make it smaller") from None
    except DAMAGED as error:
        raise PictureDamaged(f"it is damaged or cannot be read: {error}") from error
    height, width = shape[0], shape[1]
    resized = plain.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.uint8).reshape(tuple(shape))


def is_grey(shape: Sequence[int]) -> bool:
    """Whether pictures of this shape have no colours.

    Raises:
        ValueError: it is not the shape of a picture.
    """
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return True
    if len(shape) == 3 and shape[2] == COLOURS:
        return False
    raise ValueError(
        f"examples of shape {tuple(shape)} are no pictures: expected (height, width) or (height, width, 3)"
    )


def _check_size(picture: Image, max_pixels: int | None, max_side: int | None) -> None:
    width, height = picture.size
    if max_side is not None and max(width, height) > max_side:
        raise PictureTooLarge(f"it is {width} x {height} pixels, and {max_side} is the longest side that is read")
    if max_pixels is not None and width * height > max_pixels:
        raise PictureTooLarge(f"it has {width} x {height} pixels, and {max_pixels:,} are the most that are read")


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
