"""Small models whose answers are known, and a registry and a bucket that are dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lnn.errors import LnnError
from lnn.models.model_file import Model
from lnn.serving.rollout import Current
from lnn.serving.router import Serving

RUN = "20261101T080000Z-aaaaaaaa"


def brightness_model(shape: tuple[int, ...] | None = (4, 4), scale: float = 255.0, run_id: str = RUN) -> Model:
    """Says `light` for pictures whose mean is above one half, with logit 20 (mean - 0.5)."""
    features = int(np.prod(shape or (16,)))
    return Model(
        parameters=[(np.full((1, features), 20 / features), np.array([[-10.0]]))],
        run_id=run_id,
        activations=["sigmoid"],
        list_classes=["dark", "light"],
        image_shape=shape,
        scale=scale,
    )


@dataclass
class Shelves:
    """Stands for a registry and a bucket: models by id, and what is in use."""

    models: dict[str, Model] = field(default_factory=dict)
    in_use: Current = field(default_factory=Current)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    loads: int = 0
    lookups: list[str] = field(default_factory=list)
    reads: int = 0
    fault: Exception | None = None
    now: float = 100.0

    def current(self) -> Current:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return self.in_use

    def list_models(self) -> list[dict[str, Any]]:
        own = {
            name: {
                "model_id": name,
                "run_id": model.run_id,
                "registered_at": 1.5,
                "test_accuracy": 0.75,
                "stage": "retired",
                "image_shape": None if model.image_shape is None else list(model.image_shape),
                "classes": 2,
                "sizes": [16, 1],
                "source": "s3://bucket/secret",
            }
            for name, model in self.models.items()
        }
        return list((own | self.records).values())

    def get(self, model_id: str) -> dict[str, Any] | None:
        self.lookups.append(model_id)
        return next((model for model in self.list_models() if model["model_id"] == model_id), None)

    def get_registered_model(self, model_id: str, _: str | None) -> Model:
        self.loads += 1
        if model_id not in self.models:
            raise LnnError(f"{model_id} is gone")
        return self.models[model_id]

    def serving(self) -> Serving:
        return Serving(self, self, lambda: self.now)  # type: ignore[arg-type]
