"""Simulates the protocol: ``python tests/simulation --seeds 1000``, or one seed with ``--seed 17 --trace``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of a set of names is one of the choices that a seed makes.
        os.environ.update(PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        if Path("/dev/shm").is_dir():  # noqa: S108 - what runs write to /tmp is gone when they end
            os.environ["TMPDIR"] = "/dev/shm"  # noqa: S108 - the same
        os.execv(  # noqa: S606 - this program again
            sys.executable, [sys.executable, str(HERE), *sys.argv[1:]]
        )
    sys.path[0] = str(HERE.parent)
    from simulation.campaign import main

    main(HERE.parents[1])
