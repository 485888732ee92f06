"""Records ``lnn view`` on the local cloud: a moving picture for the README.

.venv/bin/python -m lnn_tools.docs.recording [--output docs/view.webp]

It trains the spiral with a network whose tiles are large enough to be seen, and steps through the epochs of the page.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from lnn_tools.browser import chromium
from lnn_tools.errors import ToolError, exit_status

REPOSITORY = Path(__file__).resolve().parents[3]
LNN = Path(sys.executable).with_name("lnn")
CHANGES = (
    *("neurons.layer1=12", "neurons.layer2=8", 'activations.layer1="tanh"', 'activations.layer2="tanh"'),
    *("epochs=300", "snapshots=50"),
)
CHOSEN = "3,1"
"""The output, whose plane is the whole network's answer."""
WIDTH, HEIGHT = 1000, 760
FRAME_MS, LAST_MS = 120, 3000
QUALITY = 60
PATIENCE_MS = 30_000


def main() -> int:
    parser = argparse.ArgumentParser(description="Record lnn view on the local cloud, which must be running.")
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "docs" / "view.webp", help="WebP file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "spiral.csv"
        lnn("dataset", "example", "spiral", "-o", str(table))
        changes = [part for change in CHANGES for part in ("--set", change)]
        run_id = lnn("train", str(table), "--label", "class", *changes).splitlines()[-1]
        lnn("watch", run_id)
    frames = record(run_id)
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_MS]
    frames[0].save(
        arguments.output, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=QUALITY, method=6
    )
    print(f"{arguments.output}: {len(frames)} frames, {arguments.output.stat().st_size / 1e6:.2f} MB")
    return 0


def lnn(*arguments: str) -> str:
    """What a command prints. Raises ToolError if it fails."""
    done = subprocess.run([LNN, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ToolError(f"lnn {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def record(run_id: str) -> list[Image.Image]:
    """A frame for each epoch that the page steps through."""
    with subprocess.Popen([LNN, "view", run_id, "--no-open"], stdout=subprocess.PIPE, text=True) as view:
        try:
            address = view.stdout.readline().strip() if view.stdout else ""
            with chromium() as browser:
                page = browser.new_page(
                    viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce"
                )
                page.set_default_timeout(PATIENCE_MS)
                page.goto(f"{address}#epoch=0&neuron={CHOSEN}")
                page.wait_for_function("() => Number(document.getElementById('epoch').max) > 0")
                last = int(page.locator("#epoch").get_attribute("max") or 0)
                return [frame(page, position) for position in range(last + 1)]
        finally:
            view.terminate()


def frame(page: Any, position: int) -> Image.Image:
    """The page with its slider at a position, once all of it is drawn."""
    page.locator("#epoch").fill(str(position))
    page.wait_for_function(
        """() => {
            const drawn = Number(document.getElementById("canvas").dataset.epoch).toLocaleString("en-US");
            return document.getElementById("epoch-label").textContent.startsWith(`epoch ${drawn} `);
        }"""
    )
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    sys.exit(exit_status("recording", main))
