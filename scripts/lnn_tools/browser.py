"""A headless Chromium for tests and for pictures of pages: Playwright drives the machine's own."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lnn_tools.errors import ToolError
from lnn_tools.installation import pip
from lnn_tools.local_cloud.tools import TOOLS, install_once, key_of

PINS = Path(__file__).resolve().parents[2] / "requirements" / "browser.txt"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
]


def install() -> Path:
    """The folder with Playwright and axe, installed once; nothing else needs them.

    Raises:
        ToolError: they cannot be installed.
    """
    folder = TOOLS / f"browser-{key_of(PINS)}"

    def build(target: Path) -> None:
        pip("install", PINS, "--no-compile", "--target", str(target))

    install_once(folder, build)
    return folder


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser.

    Raises:
        ToolError: there is no Chromium, or Playwright cannot be installed.
    """
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise ToolError("no Chromium on PATH; install it: apt-get install chromium")
    sys.path.append(str(install()))
    playwright = importlib.import_module("playwright.sync_api")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield running
        running.close()
