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
from pathlib import Path
from typing import Any

from PIL import Image

from lnn_tools.docs.notebook_pages import KEPT, MOST_BYTES, NAMES, ROOT, digest, source_of
from lnn_tools.errors import ToolError, exit_status

SVG = re.compile(r'<img\b[^>]*src="data:image/svg\+xml;base64,([^"]+)"[^>]*>')
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
        data = output.get("data", {})
        picture = _picture(data)
        if picture is None:
            said += "".join(output["text"]) if output["output_type"] == "stream" else "".join(data["text/plain"])
            continue
        if said:
            yield _text(cell, said)
            said = ""
        content, suffix = picture
        pictures += 1
        yield {"picture": _stored(content, f"{name}-{cell['id']}-{pictures}{suffix}", folder)}
    if said:
        yield _text(cell, said)


def _picture(data: Mapping[str, Any]) -> tuple[bytes, str] | None:
    """A picture's bytes and the end of its name; None where the output is a text. Charts are smallest without loss."""
    if "image/png" in data:
        made = io.BytesIO()
        Image.open(io.BytesIO(b64decode("".join(data["image/png"])))).save(made, "WEBP", lossless=True, method=6)
        return made.getvalue(), ".webp"
    html = "".join(data.get("text/html", ""))
    if not html:
        return None
    if (drawing := SVG.fullmatch(html.strip())) is None:
        raise ToolError(f"a cell shows HTML that is no drawing: {html[:80]}")
    return b64decode(drawing[1]), ".svg"


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
