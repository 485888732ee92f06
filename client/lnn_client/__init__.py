"""What a Python program can do with a deployment of LNN: the ``lnn`` command stands on it.

cloud = Cloud("local")
run = cloud.train(X, y, epochs=30).wait()
run.model().predict(X)
"""

from typing import TYPE_CHECKING, Any

from lnn_client.cloud import Cloud, Target
from lnn_client.errors import ClientError

if TYPE_CHECKING:
    from lnn_client.estimators import LambdaClassifier, LambdaRegressor
    from lnn_client.trained import Model
    from lnn_client.training import Run

__all__ = ["ClientError", "Cloud", "LambdaClassifier", "LambdaRegressor", "Model", "Run", "Target"]

_MODULES = {"LambdaClassifier": "estimators", "LambdaRegressor": "estimators", "Model": "trained", "Run": "training"}
"""Where names are whose modules import numpy or scikit-learn: the ``lnn`` command starts without them."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"lnn_client.{_MODULES[name]}"), name)
