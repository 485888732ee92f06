"""A trained model as Python programs use it: it takes what training was given, and answers in arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.errors import InputError
from lnn.models.model_file import encode_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn.models.model_file import Model as Network


class Model:
    """A trained network, with the preprocessing that belongs to it."""

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def classes(self) -> list[str]:
        """Names of the classes; empty in regression."""
        return self.network.list_classes

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each class, (m, K), of a classifier's examples X; see ``predict``.

        Raises:
            InputError: the model predicts numbers, or does not take such examples.
        """
        if self.network.list_targets:
            raise InputError("the model predicts numbers, not classes; call predict")
        return self._outputs(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """The name of each example's class, (m,); of regression the numbers, (m,) or (m, targets).

        X (m, n) has the values that training was given: rows of features, pictures, or a frame with a table's columns.

        Raises:
            InputError: the model does not take such examples.
        """
        outputs = self._outputs(X)
        if self.network.list_targets:
            return outputs[:, 0] if outputs.shape[1] == 1 else outputs
        answers: NDArray[Any] = np.array(self.classes)[outputs.argmax(axis=1)]
        return answers

    def save(self, path: str | Path) -> Path:
        """Write ``params.h5``, which ``lnn.models.model_file.load_model`` and ``lnn predict --model`` read."""
        path = Path(path)
        path.write_bytes(encode_model(self.network))
        return path

    def to_onnx(self, path: str | Path) -> Path:
        """Write it as ONNX. Its input has examples as rows; of a table numbers as they are and categories one-hot, of
        others values divided by ``scale``: see the file's metadata.

        Raises:
            MissingPackage: the package ``onnx`` is not installed.
        """
        from lnn_client.onnx_model import encode_onnx

        path = Path(path)
        path.write_bytes(encode_onnx(self.network))
        return path

    def __repr__(self) -> str:
        return f"Model(run_id={self.network.run_id!r}, features={self.network.features})"

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        outputs: NDArray[np.float64] = self.network.predict_proba(self._columns(X)).T.astype(np.float64)
        return outputs

    def _columns(self, X: Any) -> NDArray[np.float64]:
        """Examples (m, n) as the network's X (n, m)."""
        network, preprocessing = self.network, self.network.preprocessing
        if preprocessing is not None and any(column.kind != "number" for column in preprocessing.columns):
            return preprocessing.matrix(_rows(X, preprocessing.names))
        if preprocessing is not None and hasattr(X, "columns"):
            X = X[preprocessing.names]
        values = np.asarray(X)
        if values.dtype.kind not in "biuf":
            raise InputError(f"found {values.dtype} as examples; expected numbers")
        rows = values.reshape(len(values), -1).astype(np.float64)
        features = network.features if preprocessing is None else preprocessing.width
        if rows.shape[1] != features:
            raise InputError(f"found examples of {rows.shape[1]} features; expected {features}")
        if not np.isfinite(rows).all():
            raise InputError("found NaN or infinity in the examples; expected finite numbers")
        if preprocessing is None:
            return (rows / network.scale).T
        mean, scale = ([getattr(column, name) for column in preprocessing.columns] for name in ("mean", "scale"))
        rows -= mean
        rows /= scale
        return rows.T


def _rows(X: Any, names: list[str]) -> list[Any]:
    """The rows of a frame, or of nested lists, in the order of the columns ``names``."""
    if not hasattr(X, "columns"):
        return [list(row) for row in X]
    columns = [list(X[name]) for name in names]
    return [list(row) for row in zip(*columns, strict=True)]
