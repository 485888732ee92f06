"""Plans to test with."""

from __future__ import annotations

from typing import Any

from lnn.strategies.neuron.layout import Layout


def plan(**changes: Any) -> Layout:
    """A small plan, with ``changes``; a layout is one, too."""
    values: dict[str, Any] = {
        "sizes": [5, 4, 3, 1],
        "activations": ["relu", "tanh", "sigmoid"],
        "epochs": 3,
        "batch_size": None,
        "learning_rate": 0.1,
        "optimizer": "sgd",
        "l2": 0.0,
        "dtype": "float64",
        "seed": 1,
        "threshold": None,
        "record_every": 1,
        "checkpoint_seconds": 30.0,
        "notify_every": None,
        "max_seconds": None,
        "max_usd": None,
        "examples": 13,
        "test_examples": 4,
        "list_classes": ["no", "yes"],
        "image_shape": None,
        "scale": 1.0,
        "strategy": "neuron",
        "workers": 1,
        "shard_rows": 8,
    }
    return Layout.parse(values | changes)
