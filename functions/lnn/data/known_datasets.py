"""Datasets that this process has checked, known again by their content.

A warm function meets the same content again, as the trials of a sweep have copies of one dataset, and checking a small
dataset takes longer than all else that Launch does with it. What counts is the SHA-256 of the file that was downloaded,
taken here: nothing that an object, a client or S3 says of itself. A process has one version of the check, so the
knowledge ends with it.
"""

import hashlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from lnn.data.summary import DatasetSummary

MOST = 4
"""Datasets to know: a summary has up to 65,536 names of classes."""


class KnownDatasets:
    """Summaries of the datasets that were checked last."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], DatasetSummary] = {}

    def summary(self, path: Path, block_limit: int, check: Callable[[Path, int], DatasetSummary]) -> DatasetSummary:
        """What ``check`` says of a file within ``block_limit``, or has said of a file with the same bytes.

        The file is the caller's own: nobody changes it meanwhile. A refusal, which ``check`` raises, is not kept.
        """
        with path.open("rb") as file:
            key = hashlib.file_digest(file, "sha256").hexdigest(), block_limit
        summary = self._known.pop(key, None) or check(path, block_limit)
        self._known[key] = summary
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        return deepcopy(summary)  # its lists are the caller's to change

    def forget(self) -> None:
        """Forget all of them."""
        self._known.clear()
