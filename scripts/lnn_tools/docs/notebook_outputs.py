"""Keeps what the cells of executed notebooks showed, for the pages of the site (``notebook_pages``).

.venv-notebooks/bin/python -m lnn_tools.docs.notebook_outputs [--executed build/notebooks] [--output docs/notebooks]

Texts go into a JSON file for each notebook, pictures beside it. All other metadata, such as times, stay out.
"""

import argparse
import io
import json
import re
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

from PIL import Image

from lnn_tools.docs.notebook_pages import KEPT, MOST_BYTES, NAMES, ROOT, digest, source_of
from lnn_tools.errors import ToolError, exit_status

SVG = re.compile(r'<img\b[^>]*src="data:image/svg\+xml;base64,([^"]+)"[^>]*>')
INLINE = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
TAG = re.compile(r"<[^>]+>")
LINE_COLOR = "#0072b2"
"""Of what a drawing paints in the color of the text around it: as a file it has none around it."""
MOST_CHARACTERS = 5_000
"""Of an output's text."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep what executed notebooks showed, for the site.")
    parser.add_argument("--executed", type=Path, default=ROOT / "build" / "notebooks", help="their folder")
    parser.add_argument("-o", "--output", type=Path, default=KEPT, help="folder to write")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"{', '.join(NAMES)} (default: all)")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in arguments.names:
        keep(name, arguments.executed / f"{name}.ipynb", arguments.output)
    total = sum(file.stat().st_size for file in arguments.output.iterdir())
    if total > MOST_BYTES:
        raise ToolError(f"{arguments.output} has {total:,} bytes; at most {MOST_BYTES:,} are kept")
    print(f"{arguments.output}: {total / 1e6:.2f} MB")
    return 0


def keep(name: str, executed: Path, output: Path) -> None:
    """Writes what one notebook showed. Raises ToolError where the site could not show it."""
    cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
    for old in output.glob(f"{name}-*"):
        old.unlink()
    found = {
        cell["id"]: {"source": digest(source_of(cell)), "outputs": list(_outputs(name, cell, output))}
        for cell in cells
        if cell["cell_type"] == "code"
    }
    text = json.dumps({"cells": found}, indent=1, ensure_ascii=False) + "\n"
    (output / f"{name}.json").write_text(text, encoding="utf-8")


def _outputs(name: str, cell: Mapping[str, Any], folder: Path) -> Iterator[dict[str, str]]:
    """What a cell showed, texts that follow each other as one."""
    pictures, said = 0, ""
    for output in cell["outputs"]:
        text, picture = _shown(output)
        if text:
            # What is printed next begins a line of its own, as it does in a notebook.
            said += text if output["output_type"] == "stream" else f"{text}\n"
        if picture is None:
            continue
        if said:
            yield _text(cell, said)
            said = ""
        content, suffix = picture
        pictures += 1
        yield {"picture": _stored(content, f"{name}-{cell['id']}-{pictures}{suffix}", folder)}
    if said:
        yield _text(cell, said)


def _shown(output: Mapping[str, Any]) -> tuple[str, tuple[bytes, str] | None]:
    """An output's text and its picture: its bytes and the end of its name. Charts are smallest without loss."""
    if output["output_type"] == "stream":
        return "".join(output["text"]), None
    data = output["data"]
    if "image/png" in data:
        made = io.BytesIO()
        Image.open(io.BytesIO(b64decode("".join(data["image/png"])))).save(made, "WEBP", lossless=True, method=6)
        return "", (made.getvalue(), ".webp")
    html, plain = ("".join(data.get(kind, "")) for kind in ("text/html", "text/plain"))
    if drawing := SVG.fullmatch(html.strip()):
        return "", (b64decode(drawing[1]), ".svg")
    if drawing := INLINE.search(html):
        svg = drawing[0].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        caption = unescape(TAG.sub("", html.replace(drawing[0], "")))
        return caption, (svg.replace("currentColor", LINE_COLOR).encode(), ".svg")
    if html and (not plain or plain.startswith("<")):
        raise ToolError(f"a cell shows HTML that is no drawing and has no text beside it: {html[:80]}")
    return plain, None


def _stored(content: bytes, file: str, folder: Path) -> str:
    """The picture's name, which is one of docs/ where the notebook shows that; else it is written."""
    for one in sorted(KEPT.parent.glob("*.svg")):
        if one.read_bytes() == content:
            return f"../{one.name}"
    (folder / file).write_bytes(content)
    return file


def _text(cell: Mapping[str, Any], text: str) -> dict[str, str]:
    if len(text) > MOST_CHARACTERS:
        raise ToolError(f"cell {cell['id']} prints {len(text):,} characters; at most {MOST_CHARACTERS:,} are kept")
    if any(str(place) in text for place in (ROOT, Path.home())):
        raise ToolError(f"cell {cell['id']} prints a path of this machine")
    return {"text": text}


if __name__ == "__main__":
    sys.exit(exit_status("notebook outputs", main))
