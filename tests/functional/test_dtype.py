"""``dtype: auto`` trains in the precision that the data has, and is then that precision's run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lnn.data.dataset import write_dataset
from support.inprocess_cloud import InProcessCloud

pytestmark = pytest.mark.usefixtures("_datasets_are_checked_in_this_process")

PARAMETERS = {
    "epochs": 3,
    "layers": 2,
    "neurons": {"layer1": 4, "layer2": 1},
    "activations": {"layer1": "relu", "layer2": "sigmoid"},
    "learning_rate": 0.1,
    "batch_size": 5,
}


@pytest.mark.parametrize("strategy", ["fused", "resident", "data", "neuron"])
@pytest.mark.parametrize(
    ("stored", "trains_in"), [("uint8", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_auto_is_the_precision_of_the_data(
    stored: str, trains_in: str, strategy: str, cloud: InProcessCloud, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    X = rng.integers(0, 255, (19, 6)).astype(stored)
    write_dataset(tmp_path / "d.h5", X[:13], np.arange(13) % 2, X[13:], np.arange(6) % 2, ["no", "yes"])
    dataset = (tmp_path / "d.h5").read_bytes()

    def outcome(dtype: str) -> Any:
        workers = 2 if strategy in {"resident", "data"} else None
        upload = cloud.upload(dataset, PARAMETERS | {"dtype": dtype, "strategy": strategy, "workers": workers})
        assert cloud.launch(upload) == "launched"
        run = cloud.run_to_end(upload.run_id)
        assert run.status == "COMPLETED", run.reason
        return cloud.outcome(upload.run_id)

    arrays, history = outcome("auto")
    assert (arrays, history) == outcome(trains_in)
    assert history != outcome({"float32": "float64", "float64": "float32"}[trains_in])[1]
