"""Pictures of any size as arrays of one shape, for datasets and predictions. Only this module decodes pictures."""

from __future__ import annotations

import io
import math
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lnn.data.file_kinds import HEAD_BYTES, RAW, kind_of, picture_format
from lnn.errors import LnnError

if TYPE_CHECKING:
    from PIL.Image import Image

COLORS = 3

DEEP_WHITE = 65_535
"""White in 16 bits per channel, by the specifications of PNG, TIFF and PGM."""

DIM = 4096
"""A 16-bit picture whose values are all below this is nearly black, or has 12 bits that were not scaled to 16."""

USUAL_WHITES = (1, 255, 1023, 4095, 16_383, DEEP_WHITE)
"""White of a fraction, and of 8, 10, 12, 14 and 16 bits."""

DEEP = {"F", "I", "I;16", "I;16B", "I;16L", "I;16N"}
PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
CONVERTED = {"1", "CMYK", "HSV", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"}
"""Pillow's modes: more than 8 bits, premultiplied alpha, and those that ``convert`` handles."""

NEW_SUBFILE_TYPE, BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT, DNG_VERSION = 254, 258, 262, 339, 50_706
REDUCED, WHITE_IS_ZERO, SIGNED = 1, 0, 2
"""TIFF's tags and their values (TIFF 6.0, sections 8 and 19; DNG 1.4)."""

DAMAGED = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error, zlib.error),
)
"""Exceptions of Pillow's decoders for damaged files."""


class NotAPicture(LnnError):
    """The file is no picture in a format that can be read."""


class PictureTooLarge(LnnError):
    """The picture has too many pixels."""


class PictureUnclear(LnnError):
    """Neither the file nor the caller says which value is white; ``usual_white`` is a common one for such values."""

    def __init__(self, reason: str, usual_white: int) -> None:
        super().__init__(reason)
        self.usual_white = usual_white


class PictureDamaged(LnnError):
    """The file starts like a picture but is damaged."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What a file declares about its values."""

    white: float | None
    """White of a gray picture with more than 8 bits; None where the file does not say."""
    is_capacity: bool
    """True when ``white`` is only the largest value of the bit depth."""
    is_inverted: bool
    """True when 0 is white: Pillow inverts only 8-bit pictures."""
    is_halved: bool
    """True when the file has 16 bits per channel, of which Pillow keeps 8."""


def read_picture(
    source: Path | IO[bytes],
    shape: Sequence[int],
    *,
    formats: tuple[str, ...] | None = None,
    max_pixels: int | None = None,
    max_side: int | None = None,
    white: float | None = None,
) -> NDArray[np.uint8]:
    """The picture, upright, resized to ``shape``: (h, w) is gray, (h, w, 1) too, (h, w, 3) is RGB.

    Transparent pixels become white; an animation or document gives its first frame or page. The picture is stretched
    to the shape, not cropped. ``formats`` are Pillow's names of the accepted formats. The limits are checked before
    decoding. ``white`` is the value of white in a picture of more than 8 bits, for files that do not declare it.

    Raises:
        NotAPicture, PictureTooLarge, PictureDamaged, PictureUnclear: see each class.
        FileNotFoundError: ``source`` is a path, and nothing is there.
        ValueError: ``shape`` is not that of a picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    gray = is_gray(shape)
    head = _head(source)
    _refuse_others(head)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source, formats=formats) as opened:
                _check_size(opened, max_pixels, max_side)
                _check_tiff(opened)
                depth = depth_of(opened)
                plain = flatten(ImageOps.exif_transpose(opened), depth, gray=gray, white=white)
    except (FileNotFoundError, LnnError):
        raise
    except UnidentifiedImageError:
        raise NotAPicture(_unidentified(head)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge("it has too many pixels; make it smaller") from None
    except DAMAGED as error:
        raise PictureDamaged(f"it is damaged or cannot be read: {error}") from error
    height, width = shape[0], shape[1]
    resized = plain.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.uint8).reshape(tuple(shape))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """The PNG file of a picture (h, w), (h, w, 1) or (h, w, 3)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def is_gray(shape: Sequence[int]) -> bool:
    """True for the shape of a gray picture.

    Raises:
        ValueError: it is not the shape of a picture.
    """
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return True
    if len(shape) == 3 and shape[2] == COLORS:
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


def _head(source: Path | IO[bytes]) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    source.seek(0)
    return source.read(HEAD_BYTES)


def _refuse_others(head: bytes) -> None:
    """Refuse other files before Pillow opens them: it runs a program for PostScript, and reads raw files as TIFF."""
    if not head:
        raise NotAPicture("the file is empty")
    kind = kind_of(head)
    if kind is not None:
        raise NotAPicture(str(kind))


def _unidentified(head: bytes) -> str:
    known = picture_format(head)
    if known is None:
        return "it is not a picture in a format that can be read"
    return f"it begins as {known} picture does, and is damaged or not of a kind that can be read"


def _check_tiff(picture: Image) -> None:
    """Refuse TIFFs that Pillow misreads: a raw file's thumbnail, and signed bytes, which it reads as unsigned."""
    tags = _tiff_tags(picture)
    if DNG_VERSION in tags or tags.get(NEW_SUBFILE_TYPE, 0) & REDUCED:
        raise NotAPicture(f"its first page is a thumbnail, as in a camera's raw file; {RAW.cure}")
    if tags.get(SAMPLE_FORMAT, ())[:1] == (SIGNED,) and tags.get(BITS_PER_SAMPLE, ())[:1] == (8,):
        raise NotAPicture("it is a TIFF of signed bytes, -128 to 127; save it with values from 0 to 255")


def _tiff_tags(picture: Image) -> Mapping[int, Any]:
    tags: Mapping[int, Any] = getattr(picture, "tag_v2", {})
    return tags


def depth_of(picture: Image) -> Depth:
    """What an open file declares about its values. Call it before decoding, which discards that."""
    tags = _tiff_tags(picture)
    parts = [str(part) for tile in getattr(picture, "tile", ()) for part in tile]
    white, is_capacity = None, False
    if picture.mode.startswith("I;16"):
        twelve = tags.get(BITS_PER_SAMPLE) == (12,)
        white, is_capacity = (4095, False) if twelve else (DEEP_WHITE, True)
    elif picture.mode == "I" and picture.format == "PPM":  # Pillow scales every largest value but this one to this one
        white, is_capacity = DEEP_WHITE, "ppm" not in parts
    return Depth(
        white=white,
        is_capacity=is_capacity,
        is_inverted=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
        is_halved=picture.mode not in DEEP and any(";16" in part for part in parts),
    )


def flatten(picture: Image, depth: Depth, *, gray: bool, white: float | None = None) -> Image:
    """A picture of any Pillow mode as ``L`` or ``RGB``: 8 bits per channel, transparent pixels on white.

    docs/pictures.md has the rule of each mode. ``white`` is the value of white in a picture of more than 8 bits,
    for files that do not declare it.

    Raises:
        PictureUnclear: the value of white is not known.
        PictureDamaged: it holds NaN or infinite values.
        NotAPicture: no rule is known for its mode.
    """
    from PIL import Image

    if picture.mode in DEEP:
        picture = _eight_bits(picture, depth, white)
    elif depth.is_halved:
        _check_halved(picture, white)
    elif picture.mode == "LAB":
        picture = _from_lab(picture)
    elif picture.mode in PREMULTIPLIED:
        picture = picture.convert(PREMULTIPLIED[picture.mode])
    elif picture.mode not in CONVERTED:
        raise NotAPicture(f"it is a picture of Pillow's mode {picture.mode}, which is not read; save it as RGB")
    if picture.has_transparency_data:
        layer = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return picture.convert("L" if gray else "RGB")


def _from_lab(picture: Image) -> Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(picture, lab, srgb, outputMode="RGB")
    assert converted is not None  # noqa: S101 - it is None only where the picture is changed in place
    return converted


def _eight_bits(picture: Image, depth: Depth, white: float | None) -> Image:
    """Gray values of more than 8 bits, scaled to 8; Pillow would clip them at 255."""
    from PIL import Image

    values: NDArray[Any] = np.asarray(picture)
    if not np.isfinite(values).all():
        raise PictureDamaged("it holds NaN or infinite values")
    darkest, brightest = float(values.min()), float(values.max())
    if white is None or (depth.white is not None and not depth.is_capacity):
        white = _stated_white(picture.mode, depth, darkest, brightest)
    if darkest < 0 or brightest > white:
        raise PictureUnclear(
            f"its values go from {darkest:g} to {brightest:g}, and 0 to {white:g} were expected",
            _usual_white(brightest),
        )
    scaled = values.astype(np.float32)
    scaled *= 255 / white
    gray = np.rint(scaled, out=scaled).astype(np.uint8)
    if depth.is_inverted:
        gray = 255 - gray
    transparent = picture.info.get("transparency")
    if isinstance(transparent, int):  # the gray that a PNG declares transparent
        gray[values == transparent] = 255
    return Image.fromarray(gray)


def _stated_white(mode: str, depth: Depth, darkest: float, brightest: float) -> float:
    """The value of white that the file declares.

    Raises:
        PictureUnclear: it declares none, or its values make the declared one implausible.
    """
    span = f"values go from {darkest:g} to {brightest:g}"
    if mode == "F" and darkest >= 0 and brightest <= 1:
        return 1
    if depth.white is None:
        kind = "float" if mode == "F" else "32-bit"
        raise PictureUnclear(f"its {kind} {span}, and nothing says which one is white", _usual_white(brightest))
    if depth.is_capacity and 0 < brightest < DIM:
        raise PictureUnclear(
            f"its 16-bit {span} of {DEEP_WHITE:,}: it is nearly black, or a camera's {int(brightest).bit_length()} "
            "bits were not scaled to 16",
            _usual_white(brightest),
        )
    return depth.white


def _check_halved(picture: Image, white: float | None) -> None:
    """Check colors of 16 bits per channel. Pillow keeps the upper 8, which hold little of a camera's 12 bits.

    Raises:
        PictureUnclear: too little is left of the values.
    """
    brightest = int(np.asarray(picture.convert("RGB")).max())
    if white not in (None, DEEP_WHITE) or (white is None and 0 < brightest < DIM >> 8):
        raise PictureUnclear(
            f"its 16 bits a channel, of which 8 are kept, end at {brightest} of 255: scale its values so that white is "
            f"{DEEP_WHITE:,}, unless it is nearly black",
            DEEP_WHITE,
        )


def _usual_white(brightest: float) -> int:
    """The smallest usual white that is at least ``brightest``."""
    return next((usual for usual in USUAL_WHITES if usual >= brightest), math.ceil(brightest))
