"""Records ``lnn view`` on the local cloud: a moving picture for the README.

.venv/bin/python -m lnn_tools.docs.recording [--output docs/view.webp]

It trains the spiral with a Lambda for each neuron, in a network whose tiles are large enough to be seen: first the page
follows the run, and a tile lights up while its neuron works; after its end the slider goes through the epochs.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from lnn_tools.browser import chromium
from lnn_tools.errors import ToolError, exit_status

REPOSITORY = Path(__file__).resolve().parents[3]
LNN = Path(sys.executable).with_name("lnn")
CHANGES = (
    *("neurons.layer1=12", "neurons.layer2=8", 'activations.layer1="tanh"', 'activations.layer2="tanh"'),
    *("epochs=300", "snapshots=50", "batch_size=null", 'optimizer="adam"', "learning_rate=0.02"),
)
CHOSEN = "3,1"
"""The output, whose plane is the whole network's answer."""
WIDTH, HEIGHT = 1000, 1080
"""The network and the slider are both in view."""
FRAME_MS, LAST_MS = 120, 3000
LIVE_FROM, LIVE_FRAMES = 20, 50
"""The epoch from which the run is recorded, when no function starts cold any more, and frames of it."""
QUALITY = 60
PATIENCE_MS, PATIENCE_SECONDS = 60_000, 120


def main() -> int:
    parser = argparse.ArgumentParser(description="Record lnn view on the local cloud, which must be running.")
    parser.add_argument("-o", "--output", type=Path, default=REPOSITORY / "docs" / "view.webp", help="WebP file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "spiral.csv"
        lnn("dataset", "example", "spiral", "-o", str(table))
        changes = [part for change in CHANGES for part in ("--set", change)]
        options = ["--label", "class", "--strategy", "neuron", *changes]
        run_id = lnn("train", str(table), *options).splitlines()[-1]
    frames, durations = record(run_id)
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


def record(run_id: str) -> tuple[list[Image.Image], list[int]]:
    """The frames and how many milliseconds each is shown: the Lambdas at work, then each epoch of the slider."""
    await_training(run_id)
    with subprocess.Popen([LNN, "view", run_id, "--no-open"], stdout=subprocess.PIPE, text=True) as view:
        try:
            address = view.stdout.readline().strip() if view.stdout else ""
            with chromium() as browser:
                page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
                page.set_default_timeout(PATIENCE_MS)
                page.goto(f"{address}#neuron={CHOSEN}")
                frames, durations = live(page)
                lnn("watch", run_id)
                page.wait_for_function("() => document.getElementById('lights-label').hidden")  # the run has ended
                page.wait_for_function("() => document.getElementById('lights').dataset.lit === '0'")  # and is played
                last = int(page.locator("#epoch").get_attribute("max") or 0)
                frames += [frame(page, position) for position in range(last + 1)]
                return frames, [*durations, *[FRAME_MS] * last, LAST_MS]
        finally:
            view.terminate()


def await_training(run_id: str) -> None:
    """Waits until the run trains: before that there is nothing to see. Raises ToolError."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while json.loads(lnn("show", run_id, "--json"))["status"] == "PENDING":
        if time.monotonic() > deadline:
            raise ToolError(f"run {run_id} does not begin to train: lnn show {run_id}")
        time.sleep(0.2)


def live(page: Any) -> tuple[list[Image.Image], list[int]]:
    """Frames of the page that follows the run, at the pace at which they were taken."""
    page.wait_for_function(
        """(epoch) => {
            const [shown, lit] = ["canvas", "lights"].map((name) => document.getElementById(name).dataset);
            return Number(shown.epoch) >= epoch && Number(lit.lit) > 0;
        }""",
        arg=LIVE_FROM,
    )
    frames, taken = [], [time.monotonic()]
    for _ in range(LIVE_FRAMES):
        frames.append(shot(page))
        page.wait_for_timeout(max(0.0, FRAME_MS - (time.monotonic() - taken[-1]) * 1000))
        taken.append(time.monotonic())
    return frames, [round((after - before) * 1000) for before, after in pairwise(taken)]


def frame(page: Any, position: int) -> Image.Image:
    """The page with its slider at a position, once all of it is drawn."""
    page.locator("#epoch").fill(str(position))
    page.wait_for_function(
        """() => {
            const drawn = Number(document.getElementById("canvas").dataset.epoch).toLocaleString("en-US");
            return document.getElementById("epoch-label").textContent.startsWith(`epoch ${drawn} `);
        }"""
    )
    return shot(page)


def shot(page: Any) -> Image.Image:
    page.evaluate("scrollTo(0, 0)")
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


if __name__ == "__main__":
    sys.exit(exit_status("recording", main))
