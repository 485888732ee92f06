"""Make datasets.h5: the handwritten digits that scikit-learn carries, split for training and test.

    pip install scikit-learn && pip install -e .      # from the repository's root
    python examples/digits/make_digits.py             # writes examples/digits/datasets.h5

The same versions of numpy and h5py write the same bytes. See README.md for the source and the license of the data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from lnn.data.dataset import inspect_dataset, write_dataset

OUTPUT = Path(__file__).with_name("datasets.h5")
SEED = 0
TEST_SHARE = 0.2


def main() -> None:
    """Write the file and say what is in it."""
    digits = load_digits()
    pixels = ((digits.images * 255 + 8) // 16).astype(np.uint8)  # 0..16 to 0..255, rounded: lnn divides uint8 by 255
    labels = digits.target.astype(np.int64)

    # Stratified: the same share of every digit is held out. Then both parts are put back in their first order.
    random = np.random.default_rng(SEED)
    held_out = [
        random.permutation(members)[: round(TEST_SHARE * len(members))]
        for members in (np.flatnonzero(labels == digit) for digit in range(10))
    ]
    test = np.zeros(len(labels), bool)
    test[np.concatenate(held_out)] = True

    write_dataset(OUTPUT, pixels[~test], labels[~test], pixels[test], labels[test], [str(d) for d in range(10)])
    print(inspect_dataset(OUTPUT))


if __name__ == "__main__":
    main()
