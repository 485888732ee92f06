"""Decoding: every mode of Pillow's has one rule, and what cannot be known is refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from lnn.data.images import (
    CONVERTED,
    DEEP,
    DIM,
    PREMULTIPLIED,
    NotAPicture,
    PictureDamaged,
    PictureUnclear,
    depth_of,
    flatten,
    read_picture,
)
from support.repository import REPOSITORY

DOCS = REPOSITORY / "docs"
ORANGE = (230, 120, 20)
ORANGE_GRAY = 141  # 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601, as Pillow converts)


def lab_of(picture: Image.Image) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(picture, srgb, lab, outputMode="LAB")
    assert converted is not None
    return converted


def in_palette(picture: Image.Image) -> Image.Image:
    return picture.convert("P", palette=Image.Palette.ADAPTIVE)


def deep(dtype: str, white: float) -> Callable[[Image.Image], Image.Image]:
    def make(picture: Image.Image) -> Image.Image:
        share = np.asarray(picture.convert("L")) / 255
        values = share * white
        return Image.fromarray((values if dtype.startswith("f") else np.rint(values)).astype(dtype))

    return make


def deep_of_mode(mode: str) -> Callable[[Image.Image], Image.Image]:
    def make(picture: Image.Image) -> Image.Image:
        dtype = ">u2" if mode == "I;16B" else "<u2"
        values = deep("u2", 65_535)(picture)
        return Image.frombytes(mode, picture.size, np.asarray(values).astype(dtype).tobytes())

    return make


MAKERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "LAB": lab_of,
    "P": in_palette,
    "PA": lambda picture: in_palette(picture).convert("PA"),
    "La": lambda picture: picture.convert("LA").convert("La"),
    "RGBa": lambda picture: picture.convert("RGBA").convert("RGBa"),
    "I;16": deep_of_mode("I;16"),
    "I;16B": deep_of_mode("I;16B"),
    "I;16L": deep_of_mode("I;16L"),
    "I;16N": deep_of_mode("I;16N"),
    "F": deep("f4", 1.0),
}
COLORED = {"CMYK", "HSV", "LAB", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr"}


@pytest.mark.parametrize("mode", sorted({*Image.MODES} - {"1", "I"}))
@pytest.mark.parametrize("gray", [True, False])
def test_every_mode_shows_the_same_color(mode: str, gray: bool) -> None:
    """Orange stays orange, or its gray, whatever mode brings it."""
    orange = Image.new("RGB", (4, 3), ORANGE)
    picture = MAKERS.get(mode, lambda plain: plain.convert(mode))(orange)
    assert picture.mode == mode
    flat = flatten(picture, depth_of(picture), gray=gray)
    assert (flat.mode, flat.size) == ("L" if gray else "RGB", (4, 3))
    expected = [ORANGE_GRAY] if gray or mode not in COLORED else ORANGE
    # 3: YCbCr, HSV and LAB keep 8 bits, and are rounded twice.
    assert np.abs(np.asarray(flat).reshape(3, 4, -1).astype(int) - expected).max() <= 3


def test_every_mode_that_pillow_has_has_a_rule_and_a_line_in_the_docs() -> None:
    assert {*Image.MODES} == DEEP | {*PREMULTIPLIED} | CONVERTED | {"LAB"}
    table = (DOCS / "pictures.md").read_text(encoding="utf-8").partition("## What becomes of each kind")[2]
    kinds = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    told = {mode for kind in kinds for mode in kind.split("`")[1::2]}
    assert told == {*Image.MODES}


def test_black_and_white_are_0_and_255() -> None:
    bits = Image.fromarray(np.array([[True, False]]))
    assert np.asarray(flatten(bits, depth_of(bits), gray=True)).tolist() == [[255, 0]]


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_what_is_transparent_lies_on_white(mode: str) -> None:
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 127))
    picture = half.convert("LA").convert("La") if mode == "La" else half.convert(mode)
    (level,) = np.asarray(flatten(picture, depth_of(picture), gray=True)).ravel()
    assert abs(int(level) - 128) <= 1


# Files -------------------------------------------------------------------------------------------------------------

RAMP = np.array([[0, 16_384, 65_535]], np.uint16)
SCALED = [[0, 64, 255]]


def saved(picture: Image.Image, kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def png(values: np.ndarray[Any, Any], color_type: int = 0, extra: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, which Pillow itself writes for grays only. ``extra`` are chunks before the pixels."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def pgm(values: np.ndarray[Any, Any], white: int) -> bytes:
    return b"P5 %d %d %d\n" % (values.shape[1], values.shape[0], white) + values.astype(">u2").tobytes()


def tiff(values: np.ndarray[Any, Any], **tags: Any) -> bytes:
    """A TIFF of one strip, little-endian, with the tags of its values as they are named here."""
    bits = tags.pop("bits", values.itemsize * 8)
    kinds = {"u": 1, "i": 2, "f": 3}
    data = tags.pop("data", values.tobytes())
    entries = {
        256: values.shape[1],
        257: values.shape[0],
        258: bits,
        259: 1,
        262: tags.pop("photometric", 1),
        273: 0,
        277: 1,
        278: values.shape[0],
        279: len(data),
        339: kinds[values.dtype.kind],
        **tags.pop("more", {}),
    }
    entries[273] = 8 + 2 + 12 * len(entries) + 4
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + struct.pack("<I", 0) + data


def read(content: bytes, width: int = 3, **how: Any) -> list[Any]:
    return read_picture(io.BytesIO(content), (1, width), **how).tolist()


TWELVE_BITS = np.array([[0, 1024, 4095]], np.uint16)
PACKED_12 = bytes([0x00, 0x04, 0x00, 0xFF, 0xF0])  # 000 400 FFF, each row filled to whole bytes

SAYING_THEIR_WHITE = {
    "16-bit PNG": png(RAMP),
    "16-bit TIFF": saved(Image.fromarray(RAMP), "TIFF"),
    "16-bit PGM": pgm(RAMP, 65_535),
    "12-bit PGM": pgm(TWELVE_BITS, 4095),
    "12-bit TIFF": tiff(TWELVE_BITS, bits=12, data=PACKED_12),
    "float TIFF of 0 to 1": tiff((RAMP / 65_535).astype(np.float32)),
    "float TIFF whose white is 0": tiff((1 - RAMP / 65_535).astype(np.float32), photometric=0),
    "16-bit TIFF whose white is 0": tiff(65_535 - RAMP, photometric=0),
    "PFM": b"Pf\n3 1\n-1.0\n" + (RAMP / 65_535).astype("<f4").tobytes(),
    "16-bit color PNG": png(np.repeat(RAMP[..., None], 3, 2), 2),
}


@pytest.mark.parametrize("name", SAYING_THEIR_WHITE)
def test_a_file_that_says_which_value_is_white_is_scaled_by_it(name: str) -> None:
    assert read(SAYING_THEIR_WHITE[name]) == SCALED


@pytest.mark.parametrize("size", [2, 3])
def test_a_dark_picture_whose_file_says_its_white_is_not_doubted(size: int) -> None:
    """Its 12 bits are the file's own, so the darkness is the picture's."""
    assert read(pgm(np.full((1, size), 128), 4095), size) == [[8] * size]


UNCLEAR = {
    "12 bits in a 16-bit PNG": (png(TWELVE_BITS), "0 to 4095 of 65,535", 4095),
    "12 bits in a 16-bit PGM": (pgm(TWELVE_BITS, 65_535), "0 to 4095 of 65,535", 4095),
    "12 bits in a 16-bit TIFF": (saved(Image.fromarray(TWELVE_BITS), "TIFF"), "0 to 4095 of 65,535", 4095),
    "32-bit TIFF": (tiff(RAMP.astype(np.int32)), "32-bit values go from 0 to 65535", 65_535),
    "unsigned 32-bit TIFF": (tiff(RAMP.astype(np.uint32)), "32-bit values go from 0 to 65535", 65_535),
    "signed 16-bit TIFF": (tiff((RAMP // 4).astype(np.int16)), "32-bit values go from 0 to 16383", 16_383),
    "float TIFF of 0 to 255": (tiff((RAMP / 257).astype(np.float32)), "float values go from 0 to 255", 255),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_file_that_does_not_say_which_value_is_white_is_refused_until_the_user_does(name: str) -> None:
    content, reason, white = UNCLEAR[name]
    with pytest.raises(PictureUnclear, match=reason) as refused:
        read(content)
    assert refused.value.usual_white == white
    assert read(content, white=white) == SCALED


@pytest.mark.parametrize("name", ["12-bit PGM", "12-bit TIFF"])
def test_a_white_that_the_file_states_comes_before_one_that_is_given(name: str) -> None:
    assert read(SAYING_THEIR_WHITE[name], white=65_535) == SCALED
    assert read(SAYING_THEIR_WHITE[name], white=255) == SCALED


def test_a_white_that_is_given_counts_for_floats_of_0_to_1_too() -> None:
    """Among pictures of 0 to 255 one that is all dark may end below 1, and is no bright one."""
    assert read(SAYING_THEIR_WHITE["float TIFF of 0 to 1"], white=255) == [[0, 0, 1]]


def test_values_beyond_the_white_that_is_given_are_refused_and_not_clipped() -> None:
    for content in (png(RAMP), tiff(-RAMP.astype(np.int32))):
        with pytest.raises(PictureUnclear, match="0 to 4095 were expected"):
            read(content, white=4095)


def test_a_picture_that_is_all_black_is_black_whatever_white_is() -> None:
    assert read(png(np.zeros((1, 3), np.uint16))) == [[0, 0, 0]]


def test_the_darkest_16_bits_that_are_believed() -> None:
    assert read(png(np.full((1, 1), DIM)), 1) == [[16]]
    assert read(png(np.full((1, 1), DIM - 1)), 1, white=65_535) == [[16]]


def test_12_bits_in_16_bits_of_each_color_are_refused_too() -> None:
    colors = np.repeat(TWELVE_BITS[..., None], 3, 2)
    for content in (png(colors, 2), png(np.dstack([colors, np.full((1, 3), 65_535)]), 6)):
        with pytest.raises(PictureUnclear, match="end at 15 of 255"):
            read(content)
        with pytest.raises(PictureUnclear, match="end at 15 of 255"):
            read(content, white=4095)
        assert read(content, white=65_535) == [[0, 4, 15]]


def test_nan_in_a_picture_is_damage() -> None:
    with pytest.raises(PictureDamaged, match="NaN"):
        read(tiff(np.array([[0, np.nan, 1]], np.float32)))


def test_the_gray_that_a_16_bit_png_declares_transparent_is_white() -> None:
    assert read(png(RAMP, extra=chunk(b"tRNS", struct.pack(">H", 16_384)))) == [[0, 255, 255]]


def test_signed_bytes_are_not_taken_for_unsigned_ones() -> None:
    with pytest.raises(NotAPicture, match="signed bytes, -128 to 127"):
        read(tiff(np.array([[-1, 0, 1]], np.int8)))


def test_a_lab_tiff_keeps_its_color() -> None:
    content = saved(lab_of(Image.new("RGB", (1, 1), ORANGE)), "TIFF")
    read_back = read_picture(io.BytesIO(content), (1, 1, 3))
    assert np.abs(read_back.astype(int) - ORANGE).max() <= 3


def test_a_cmyk_jpeg_as_photoshop_writes_it_is_not_inverted() -> None:
    content = saved(Image.new("RGB", (8, 8), ORANGE).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(read_picture(io.BytesIO(content), (1, 1, 3)).astype(int) - ORANGE).max() <= 6


def test_of_several_frames_or_pages_the_first_counts() -> None:
    first, second = Image.new("L", (2, 2), 200), Image.new("L", (2, 2), 10)
    for kind in ("GIF", "TIFF", "PNG", "WEBP"):
        content = saved(first, kind, save_all=True, append_images=[second])
        assert read_picture(io.BytesIO(content), (1, 1)).tolist() == [[200]], kind


def test_a_turned_deep_picture_keeps_what_its_file_says_of_white() -> None:
    """Turning forgets the file; its 12 bits must not be taken for 16 after that."""
    content = tiff(TWELVE_BITS, bits=12, data=PACKED_12, more={274: 3})
    assert read(content) == [[255, 64, 0]]


# What is no picture ------------------------------------------------------------------------------------------------


def ftyp(brand: bytes, *others: bytes) -> bytes:
    box = b"ftyp" + brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 4 + len(box)) + box + bytes(64)


OTHERS = {
    "HEIC": (ftyp(b"heic", b"mif1", b"heic"), "a HEIC picture, as iPhones take them", "heif-convert"),
    "HEIC by its second brand": (ftyp(b"mif1", b"mif1", b"heic"), "a HEIC picture", "sips -s format jpeg"),
    "Canon raw": (ftyp(b"crx ", b"isom"), "a camera's raw file", "darktable-cli"),
    "older Canon raw": (b"II*\0\x10\0\0\0CR\x02\0" + bytes(99), "a camera's raw file", "darktable-cli"),
    "Fujifilm raw": (b"FUJIFILMCCD-RAW 0201" + bytes(99), "a camera's raw file", "darktable-cli"),
    "DNG": (tiff(RAMP, more={50_706: 0x0401}), "its first page is a thumbnail", "darktable-cli"),
    "Nikon raw": (tiff(RAMP, more={254: 1}), "its first page is a thumbnail", "darktable-cli"),
    "video": (ftyp(b"isom", b"mp41"), "a video", "ffmpeg"),
    "SVG": (
        b'<?xml version="1.0"?>\n<!-- a drawing -->\n<svg xmlns="http://www.w3.org/2000/svg"/>',
        "SVG",
        "rsvg-convert",
    ),
    "PDF": (b"%PDF-1.7\n" + bytes(99), "a PDF document", "pdftoppm"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript or EPS drawing", "gs "),
    "EPS with a preview": (b"\xc5\xd0\xd3\xc6" + bytes(99), "a PostScript or EPS drawing", "gs "),
    "metafile": (b"\xd7\xcd\xc6\x9a" + bytes(99), "a Windows metafile", "inkscape"),
    "web page": (b"\xef\xbb\xbf\n<!DOCTYPE html><html><svg/></html>", "a web page", "download the picture itself"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer", "git lfs pull"),
    "dataset": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file", "name a picture instead"),
    "zip": (b"PK\x03\x04" + bytes(99), "an archive", "unpack it"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "a thumbnail cache", "remove it"),
    "nothing": (b"", "the file is empty", ""),
    "JPEG XL": (b"\xff\x0a" + bytes(99), "it begins as a JPEG XL picture does", ""),
    "float RGB TIFF": (tiff(RAMP.astype(np.float32), more={277: 3, 262: 2}), "it begins as a TIFF picture does", ""),
    "text": (b"about dogs", "it is not a picture in a format that can be read", ""),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_picture_is_named_with_its_cure_whatever_its_name(name: str, tmp_path: Path) -> None:
    content, what, cure = OTHERS[name]
    file = tmp_path / "picture.jpg"
    file.write_bytes(content)
    for source in (file, io.BytesIO(content)):
        with pytest.raises(NotAPicture) as refused:
            read_picture(source, (4, 4))
        assert what in str(refused.value)
        assert cure in str(refused.value)


def test_no_program_is_run_for_postscript(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is named."""
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("a program was run"))
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was run"))
    with pytest.raises(NotAPicture):
        read(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")
def test_avif_is_read_where_it_may_be_and_named_where_not() -> None:
    content = saved(Image.new("L", (4, 4), 200), "AVIF", quality=100)
    assert abs(read_picture(io.BytesIO(content), (1, 1)).item() - 200) <= 2
    with pytest.raises(NotAPicture, match="begins as an AVIF"):
        read_picture(io.BytesIO(content), (1, 1), formats=("PNG",))
