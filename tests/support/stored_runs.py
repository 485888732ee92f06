"""Runs as the release before the typed record stored them: items of its own in-process cloud, in every status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "stored_runs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def stored_run(name: str) -> dict[str, Any]:
    """``item`` has DynamoDB's attribute values; ``shown`` and ``result`` are what that release printed of it."""
    stored: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return stored
