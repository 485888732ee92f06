"""The last step of `make lock`: splits the benchmark's pins, and adds the hashes of PyTorch's CPU builds.

PyTorch pins gigabytes of CUDA packages that its CPU builds do not need. They get a file of their own, which
`scripts/setup.sh bench` installs only beside a CUDA build. The CPU builds are published apart from the others, so
`make lock` does not find their hashes.
"""

import re
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[3] / "requirements"
CUDA_NAMES = re.compile(r"(cuda-|nvidia-|triton==)")
TORCH = re.compile(r"torch==(\S+)")


def cpu_hashes(version: str) -> list[str]:
    """SHA-256 of each file in the list of builds for CPUs that is of this version."""
    lines = (REQUIREMENTS / "torch-cpu.sha256").read_text(encoding="utf-8").splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    return [digest for digest, name in pairs if name.startswith(f"torch-{version}+cpu-")]


def with_cpu_hashes(entry: str) -> str:
    """The entry, which is PyTorch's if hashes are added.

    Raises:
        SystemExit: the list has no build of the pinned version.
    """
    torch = TORCH.match(entry)
    if not torch:
        return entry
    found = cpu_hashes(torch[1])
    if not found:
        sys.exit(f"lock: requirements/torch-cpu.sha256 has no build of PyTorch {torch[1]}: list its files there")
    first, hashes = entry.split("\n", 1)
    return "\n".join([first, *(f"    --hash=sha256:{digest} \\" for digest in found), hashes])


def main() -> None:
    everything = REQUIREMENTS / "bench-all.txt"
    header, *entries = re.split(r"\n(?=[A-Za-z])", everything.read_text(encoding="utf-8").rstrip())
    cuda = [entry for entry in entries if CUDA_NAMES.match(entry)]
    others = [with_cpu_hashes(entry) for entry in entries if entry not in cuda]
    for name, chosen in (("bench", others), ("bench-cuda", cuda)):
        (REQUIREMENTS / f"{name}.txt").write_text("\n".join([header, *chosen]) + "\n", encoding="utf-8")
    everything.unlink()


if __name__ == "__main__":
    main()
