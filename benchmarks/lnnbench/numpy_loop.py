"""The same training as a plain numpy loop in one process: what most people would write by hand.

It shares no code with LNN, only its starting weights (an .npz of W1, b1, ...), so that both must come to the same
costs. Full batch, relu in the hidden layers, one sigmoid unit at the end. Run as a program, it prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import h5py
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--dtype", default="float64")
    arguments = parser.parse_args()

    with h5py.File(arguments.dataset) as file:
        pictures, labels = file["train_set_x"][:], file["train_set_y"][:]
    m = len(pictures)
    X = (pictures.reshape(m, -1).astype(arguments.dtype) / 255).T
    Y = labels.reshape(1, m).astype(arguments.dtype)
    stored = np.load(arguments.weights)
    depth = len(stored.files) // 2
    W = [stored[f"W{layer}"].astype(arguments.dtype) for layer in range(1, depth + 1)]
    b = [stored[f"b{layer}"].astype(arguments.dtype) for layer in range(1, depth + 1)]

    costs = []
    began = time.perf_counter()
    for _ in range(arguments.epochs):
        A = [X]
        for layer in range(depth - 1):
            A.append(np.maximum(W[layer] @ A[-1] + b[layer], 0))
        Z = W[-1] @ A[-1] + b[-1]
        costs.append(float(np.mean(np.logaddexp(0, Z) - Y * Z)))
        dZ = (1 / (1 + np.exp(-Z)) - Y) / m
        for layer in reversed(range(depth)):
            dW, db = dZ @ A[layer].T, dZ.sum(axis=1, keepdims=True)
            if layer:
                dZ = (W[layer].T @ dZ) * (A[layer] > 0)
            W[layer] -= arguments.rate * dW
            b[layer] -= arguments.rate * db
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "ms_per_epoch": seconds * 1000 / arguments.epochs, "cost": costs[-1]}))


if __name__ == "__main__":
    main()
