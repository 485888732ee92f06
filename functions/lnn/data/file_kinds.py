"""Kinds of files that are no readable picture, recognized by their first bytes, each with a way to convert it."""

from collections.abc import Sequence
from dataclasses import dataclass

HEAD_BYTES = 4096
"""Bytes that are examined: an SVG may begin with a long comment."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file, and how to make a picture of it."""

    what: str
    cure: str

    def __str__(self) -> str:
        return f"it is {self.what}; {self.cure}"


HEIC = Kind(
    "a HEIC picture, as iPhones take them, whatever its name says",
    "convert it to JPEG: heif-convert IN OUT.jpg (Linux, package libheif-examples), or "
    "sips -s format jpeg IN --out OUT.jpg (macOS)",
)
RAW = Kind(
    "a camera's raw file, which holds its sensor's values",
    "develop it to JPEG or PNG: darktable-cli IN OUT.jpg",
)
VIDEO = Kind("a video", "take pictures from it: ffmpeg -i IN -vf fps=1 OUT-%04d.png")
ARCHIVE = Kind("an archive", "unpack it, and name the pictures in it")
DOCUMENT = Kind("an office document or a thumbnail cache", "remove it, or export its pictures as PNG or JPEG")
HDF5 = Kind("an HDF5 file, such as a dataset or a model", "name a picture instead")
LFS = Kind("a Git LFS pointer, a few lines in place of the file", "get the file itself: git lfs pull")
POSTSCRIPT = Kind("a PostScript or EPS drawing", "draw it as pixels: gs -sDEVICE=png16m -r150 -o OUT.png IN")
PDF = Kind("a PDF document", "draw its pages as pixels: pdftoppm -png IN OUT")
SVG = Kind("an SVG drawing, which has no pixels", "draw it as pixels: rsvg-convert -w 512 IN -o OUT.png")
METAFILE = Kind("a Windows metafile, which has no pixels", "draw it as pixels: inkscape IN -o OUT.png")
WEB_PAGE = Kind(
    "a web page or another text in markup",
    "download the picture itself: such a page asks for a login, or says that there is no such picture",
)

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"version https://git-lfs.github.com/spec/", LFS),
    (b"%!PS", POSTSCRIPT),
    (b"\xc5\xd0\xd3\xc6", POSTSCRIPT),
    (b"%PDF-", PDF),
    (b"\xd7\xcd\xc6\x9a", METAFILE),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"MMOR", RAW),
    (b"IIU\x00", RAW),
    (b"FOVb", RAW),
    (b"\x00MRM", RAW),
    (b"PK\x03\x04", ARCHIVE),
    (b"\x1f\x8b", ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE),
    (b"Rar!", ARCHIVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", DOCUMENT),
    (b"\x1a\x45\xdf\xa3", VIDEO),
    (b"\x00\x00\x01\xba", VIDEO),
    (b"\x00\x00\x01\xb3", VIDEO),
)

_HEIF_BRANDS = {b"heic", b"heim", b"heis", b"heix", b"hevc", b"hevm", b"hevs", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_CANON_BRAND = b"crx "

PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG"),
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"II*\x00", "a TIFF"),
    (b"MM\x00*", "a TIFF"),
    (b"II+\x00", "a TIFF"),
    (b"MM\x00+", "a TIFF"),
    (b"BM", "a BMP"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"8BPS", "a Photoshop"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL"),
)


def kind_of(head: bytes) -> Kind | None:
    """The kind of a file that is certainly no readable picture, by its first bytes; None for any other file."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[8:10] == b"CR" and head.startswith((b"II*\x00", b"MM\x00*")):
        return RAW
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return VIDEO
    return _kind_of_media(_brands(head)) or _kind_of_markup(head)


def picture_format(head: bytes) -> str | None:
    """The picture format of these first bytes, with its article; None for an unknown one."""
    if _brands(head) and _AVIF_BRANDS.intersection(_brands(head)):
        return "an AVIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP"
    return next((name for start, name in PICTURES if head.startswith(start)), None)


def _brands(head: bytes) -> Sequence[bytes]:
    """Major and compatible brands of an ISO base media file (ISO/IEC 14496-12, 4.3); empty for any other file."""
    if head[4:8] != b"ftyp":
        return ()
    box = head[: int.from_bytes(head[:4], "big")]
    return [head[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))]


def _kind_of_media(brands: Sequence[bytes]) -> Kind | None:
    if not brands or _AVIF_BRANDS.intersection(brands):
        return None
    if brands[0] == _CANON_BRAND:
        return RAW
    return HEIC if _HEIF_BRANDS.intersection(brands) else VIDEO


def _kind_of_markup(head: bytes) -> Kind | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text.startswith(b"<"):
        return None
    if b"<svg" in text:
        return WEB_PAGE if text.startswith((b"<!doctype html", b"<html")) else SVG
    return WEB_PAGE
