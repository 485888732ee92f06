"""The largest picture that is accepted fits into the function many times."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own: memory that others have used counts there, too.
LARGEST = """
import io, sys
from PIL import Image
from lnn.data.images import read_picture
from lnn.serving.requests import FORMATS, MAX_PIXELS, MAX_SIDE

buffer = io.BytesIO()
exif = Image.Exif()
exif[0x0112] = 6
picture = Image.new(sys.argv[1], (5000, MAX_PIXELS // 5000), (9, 9, 9, 99) if sys.argv[1] == "RGBA" else 65_535)
picture.save(buffer, "PNG", exif=exif, compress_level=1)
del picture
read_picture(buffer, (64, 64, 3), formats=FORMATS, max_pixels=MAX_PIXELS, max_side=MAX_SIDE)
# Not getrusage, which on Linux counts what the parent held when it started this process.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of a process alone")
@pytest.mark.parametrize("mode", ["RGBA", "I;16"])
def test_the_largest_picture_takes_a_bounded_memory(mode: str) -> None:
    done = subprocess.run([sys.executable, "-c", LARGEST, mode], capture_output=True, text=True, check=True)
    kib = int(done.stdout)
    assert 5000 * 5000 * 2 < kib * 1024 < 900 * 2**20
