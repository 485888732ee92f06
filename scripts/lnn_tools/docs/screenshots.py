"""Takes the documentation's pictures of pages, and of tables, on the local cloud.

.venv/bin/python -m lnn_tools.docs.screenshots [--output docs/images]

It trains the digits, promotes their model and draws a digit by hand, as a person would.
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console
from rich.text import Text

from lnn_tools.browser import chromium
from lnn_tools.docs.recording import LNN, PATIENCE_MS, REPOSITORY, lnn
from lnn_tools.errors import exit_status

DIGITS = REPOSITORY / "examples" / "digits" / "datasets.h5"
WIDTH, HEIGHT = 1000, 900
QUALITY = 80
TABLES = {"iris": "species", "spiral": "class"}
"""Tables that are drawn, with the column to learn."""
EPOCHS = 100
"""Of parameters.json."""
LONG_EPOCHS = 4000
"""Enough to see a training on its way."""
TERMINAL = {"COLUMNS": "100", "LINES": "40", "TERM": "xterm-256color"}
REDRAWN = re.compile(r"(?:\r?\x1b\[(?:2K|1A|\?25[lh]))+")
"""Between two states of a live display."""
COLUMNS = int(TERMINAL["COLUMNS"])
FRAME = """<pre style="margin:0; padding:1em; width:max-content; background:#fff; color:#000;
font:15px/1.4 monospace">{code}</pre>"""
AFTER_MS = 500
"""The panel of a neuron is drawn after the network, and a page's picture after its text."""
FOUR: Sequence[Sequence[tuple[float, float]]] = (
    ((0.55, 0.10), (0.22, 0.62), (0.82, 0.62)),
    ((0.62, 0.38), (0.58, 0.92)),
)
"""The pen's lines, in shares of the field's sides."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Take pictures of pages, on the local cloud, which must be running.")
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "docs" / "images", help="folder")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    run_id = lnn("train", str(DIGITS)).splitlines()[-1]
    lnn("watch", run_id)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name, take in TAKEN.items():
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.set_default_timeout(PATIENCE_MS)
            keep(take(page, run_id, Path(folder)), arguments.output / f"{name}.webp")
        for name, label in TABLES.items():
            table, drawn = Path(folder) / f"{name}.csv", Path(folder) / f"{name}.png"
            lnn("dataset", "example", name, "-o", str(table))
            lnn("dataset", "show", str(table), "--label", label, "-o", str(drawn))
            keep(drawn.read_bytes(), arguments.output / f"{name}.webp")
    return 0


def keep(picture: bytes, path: Path) -> None:
    """Writes a PNG's bytes as WebP."""
    Image.open(io.BytesIO(picture)).convert("RGB").save(path, quality=QUALITY, method=6)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


@contextmanager
def served(*arguments: str) -> Iterator[str]:
    """The address at which a command serves a page until it is ended."""
    with subprocess.Popen([LNN, *arguments, "--no-open"], stdout=subprocess.PIPE, text=True) as serving:
        try:
            yield serving.stdout.readline().strip() if serving.stdout else ""
        finally:
            serving.terminate()


def of_watch(page: Any, _run_id: str, _folder: Path) -> bytes:
    """A terminal in the middle of a training."""
    command = ("lnn", "train", str(DIGITS.relative_to(REPOSITORY)), "--set", f"epochs={LONG_EPOCHS}", "--wait")
    frames = REDRAWN.split(terminal_output(str(LNN), *command[1:]))
    middle = next(frame for frame in frames if re.search(rf"epoch {LONG_EPOCHS // 2000},\d\d\d/", frame))
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(f"$ {' '.join(command)}\n{middle.strip()}"))
    # Rich's own frame would ask another host for a font.
    page.set_content(console.export_html(code_format=FRAME, inline_styles=True))
    return bytes(page.locator("pre").screenshot())


def terminal_output(*command: str) -> str:
    """All that a command writes to a terminal, with the sequences that move the cursor and set colors."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | TERMINAL, stdout=theirs, stderr=theirs):
        os.close(theirs)
        written = bytearray()
        with suppress(OSError):  # Linux says so when the other side has closed
            while part := os.read(ours, 65536):
                written += part
        os.close(ours)
    return written.decode().replace("\r\n", "\n")


def of_report(page: Any, run_id: str, folder: Path) -> bytes:
    """The beginning of a run's report."""
    report = folder / "report.html"
    lnn("report", run_id, "-o", str(report))
    page.goto(report.as_uri())
    page.wait_for_selector("section")
    return bytes(page.screenshot())


def of_neuron(page: Any, run_id: str, _folder: Path) -> bytes:
    """The page with one neuron of layer 1 chosen, after the last epoch."""
    with served("view", run_id) as address:
        page.goto(f"{address}#epoch={EPOCHS}&neuron=1,5")
        page.wait_for_function(f"() => Number(document.getElementById('canvas').dataset.epoch) === {EPOCHS}")
        page.wait_for_timeout(AFTER_MS)
        return bytes(page.screenshot())


def of_prediction(page: Any, run_id: str, _folder: Path) -> bytes:
    """The prediction page with the answer to a drawn 4."""
    (model,) = [line.split()[0] for line in lnn("models").splitlines() if line.startswith(run_id)]
    lnn("promote", model)
    with served("page") as address:
        page.goto(address)
        box = page.locator("#drawing").bounding_box()
        for line in FOUR:
            for place, (x, y) in enumerate(line):
                page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
                if place == 0:
                    page.mouse.down()
            page.mouse.up()
        page.wait_for_selector("#result:not([hidden])")
        page.locator("#why").wait_for()
        page.wait_for_timeout(AFTER_MS)
        return bytes(page.screenshot())


TAKEN = {"watch": of_watch, "report": of_report, "neuron": of_neuron, "prediction": of_prediction}

if __name__ == "__main__":
    sys.exit(exit_status("screenshots", main))
