"""Cold starts: the time from a function's first call to its handler, and the imports in it."""

import json
import os
import re
import subprocess
import tempfile
import time
import zipfile
from collections import Counter
from statistics import median
from typing import Any

from lnnbench.cloud import REPOSITORY, BenchmarkError, Cloud
from lnnbench.machine import await_quiet

MEASURED = ("trainer", "neuron")
LARGEST = 12
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| (\s*)(\S+)")


def cold_starts(cloud: Cloud, repeats: int, patience: float) -> dict[str, Any]:
    """Milliseconds from each function's first call to its handler, and its imports."""
    samples: dict[str, list[float]] = {name: [] for name in MEASURED}
    for _ in range(repeats):
        for name in MEASURED:
            cloud.chill(name)
            await_quiet(patience)
            samples[name].append(first_call(cloud, name))
    return {
        name: {
            "cold_ms": median(found),
            "cold_ms_samples": [round(sample, 1) for sample in found],
            "imports": imports(cloud, name),
        }
        for name, found in samples.items()
    }


def first_call(cloud: Cloud, name: str) -> float:
    """Milliseconds until the answer to a message that the handler refuses at once.

    They include the emulator's part of the call, and no work of the handler.
    """
    began = time.perf_counter()
    answer = cloud.functions.invoke(FunctionName=cloud.names.function(name), Payload=b"{}")
    error = json.load(answer["Payload"])
    milliseconds = (time.perf_counter() - began) * 1000
    if "run_id" not in error.get("errorMessage", ""):
        raise BenchmarkError(f"{name}: expected the handler to refuse an empty message; it answered {error}")
    return milliseconds


def imports(cloud: Cloud, name: str) -> dict[str, Any]:
    """The time to import a function's handler in the emulator's interpreter, from the function's archive and layer.

    The milliseconds of a top-level package do not include the packages that it imports.
    """
    layer = next((REPOSITORY / "build" / "layers" / "local").glob("python/lib/python*/site-packages"))
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(REPOSITORY / "build" / "functions" / f"{name}.zip") as archive:
            archive.extractall(folder)
        command = [str(cloud.emulator_python), "-X", "importtime", "-c", f"import {name}.handler"]
        environment = {"PATH": os.environ.get("PATH", os.defpath)} | cloud.variables(name)
        environment |= {"PYTHONPATH": os.pathsep.join([folder, str(layer)])}
        environment |= {"AWS_REGION": cloud.region, "AWS_DEFAULT_REGION": cloud.region}
        for _ in range(2):  # the first one compiles the function's code
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BenchmarkError(f"{name}: import failed: {done.stderr.strip()[-500:]}")
    own: Counter[str] = Counter()
    total = 0
    for line in done.stderr.splitlines():
        if found := IMPORT.match(line):
            own[found[4].partition(".")[0]] += int(found[1])
            total += int(found[1])
    return {
        "total_ms": round(total / 1000, 1),
        "modules": len(IMPORT.findall(done.stderr)),
        "largest_ms": {package: round(spent / 1000, 1) for package, spent in own.most_common(LARGEST)},
    }
