"""scikit-learn's estimators, trained on Lambda: ``LambdaClassifier`` and ``LambdaRegressor``.

They follow scikit-learn's contract for estimators (its developer guide, "Developing scikit-learn estimators"), so they
work in pipelines, searches and cross-validation. ``fit`` uploads the examples and waits for the run; predictions are
computed here, with the run's model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lnn.errors import InputError
from lnn_client.cloud import Cloud
from lnn_client.parameters import output_layer
from lnn_client.training import Source, train

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("the estimators need scikit-learn: pip install scikit-learn") from error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lnn_client.trained import Model

__all__ = ["LambdaClassifier", "LambdaRegressor"]


class _LambdaNetwork(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share.

    Args:
        hidden_layers: Units of each hidden layer.
        activation: Of the hidden layers: a name that ``parameters.json`` knows.
        optimizer: Its name.
        learning_rate: Above 0.
        epochs: How often the network sees all examples.
        batch_size: Examples of each update; "auto": about a tenth of all, from 8 to 64; None: all.
        l2: Strength of L2 regularization.
        dropout: Share of the hidden layers' outputs that training drops.
        validation: Share of the training examples that is held out to measure each epoch's model; None: none. The best
            epoch's parameters become the model.
        patience: With ``validation``: epochs without a lower validation cost that end the run.
        test: Share of the examples of each class that the run tests its model with. Training does not see them; the
            run's record, and ``test_score_``, say how well the model does there.
        strategy: How the network is trained: ``auto``, ``fused``, ``resident``, ``data`` or ``neuron``.
        settings: Any other keys of ``parameters.json``, as ``{"clip_norm": 1.0}``.
        warm_start: Whether another ``fit`` begins with the parameters of the last one.
        random_state: Seed of every draw; None is a new one each time.
        cloud: The deployment: a ``Cloud``, or its target: "local" or "aws".
        timeout: Seconds that ``fit`` waits for the run; None: as long as it takes.
    """

    run_id_: str
    """The run that the last ``fit`` has made."""
    model_: Model
    n_iter_: int
    """Epochs trained."""
    loss_: float | None
    """Cost of the last epoch."""
    test_score_: float | None
    """Accuracy, or R2, on the examples that ``test`` has held out."""

    def __init__(
        self,
        hidden_layers: Sequence[int] = (32,),
        *,
        activation: str = "relu",
        optimizer: str = "adam",
        learning_rate: float = 0.01,
        epochs: int = 100,
        batch_size: int | str | None = "auto",
        l2: float = 0.0,
        dropout: float = 0.0,
        validation: float | None = None,
        patience: int | None = None,
        test: float = 0.1,
        strategy: str = "auto",
        settings: Mapping[str, Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        cloud: Cloud | str = "local",
        timeout: float | None = None,
    ) -> None:
        self.hidden_layers = hidden_layers
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.l2 = l2
        self.dropout = dropout
        self.validation = validation
        self.patience = patience
        self.test = test
        self.strategy = strategy
        self.settings = settings
        self.warm_start = warm_start
        self.random_state = random_state
        self.cloud = cloud
        self.timeout = timeout

    def _train(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        weights: NDArray[np.float64] | None,
        output: tuple[int, str],
        more: Mapping[str, Any],
    ) -> None:
        """Train on X (m, n) and y with the examples' weights (m,), and keep the run and its model."""
        if len(X) < 2:
            raise ValueError(f"found {len(X)} sample; expected 2 at least: one of them tests the model")
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        cloud = _cloud(self.cloud) if isinstance(self.cloud, str) else self.cloud
        regression = output[1] == "linear"
        classes = [] if regression else list(map(_class_name, range(max(2, output[0]))))
        source = Source(
            *(X, y, self.test),
            standardize=True,
            regression=regression,
            seed=int(seed),
            classes=classes,
            sample_weight=weights,
        )
        parameters = self._parameters(len(X), output, int(seed)) | dict(more) | dict(self.settings or {})
        try:
            run = train(cloud, source, parameters).wait(self.timeout)
        except InputError as error:  # scikit-learn, and who works with it, expects ValueError
            raise ValueError(str(error)) from error
        record = run.record
        self.run_id_ = run.run_id
        self.model_ = run.model()
        self.n_iter_ = record.epoch
        self.loss_ = record.final_cost
        self.test_score_ = record.test_r2 if regression else record.test_accuracy

    def _parameters(self, examples: int, output: tuple[int, str], seed: int) -> dict[str, Any]:
        """The run's ``parameters.json``."""
        units = [*map(int, self.hidden_layers), output[0]]
        kinds = [*([self.activation] * (len(units) - 1)), output[1]]
        names = [f"layer{number}" for number in range(1, len(units) + 1)]
        batch = self.batch_size
        if isinstance(batch, str):  # "auto"
            batch = min(64, max(8, examples // 10))
        training = examples - max(1, round(examples * self.test))
        warm = self.warm_start and hasattr(self, "run_id_")
        return {
            "epochs": self.epochs,
            "layers": len(units),
            "neurons": dict(zip(names, units, strict=True)),
            "activations": dict(zip(names, kinds, strict=True)),
            "learning_rate": self.learning_rate,
            "optimizer": self.optimizer,
            "batch_size": None if batch is None or batch >= training else batch,
            "l2": self.l2,
            "dropout": dict.fromkeys(names[:-1], self.dropout) if self.dropout else {},
            "validation": self.validation,
            "patience": self.patience,
            "strategy": self.strategy,
            "dtype": "float64",  # as scikit-learn computes; ``settings`` may say "auto"
            "seed": seed,
            **({"initial_model": self.run_id_} if warm else {}),
        }

    def _checked(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self, "model_")
        checked: NDArray[Any] = validate_data(self, X, reset=False, dtype="numeric")
        return checked


def _weighted(
    X: NDArray[Any], y: NDArray[Any], sample_weight: Any
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64] | None]:
    """X, y and the weights (m,) of the examples that count; without weights X, y and None.

    An example of weight 0 is left out: no class, no mean and no test score has anything of it, as if it were not there.

    Raises:
        ValueError: the weights are not one for each example, from 0.
    """
    if sample_weight is None:
        return X, y, None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    counts = weights > 0
    return X[counts], y[counts], weights[counts]


class LambdaClassifier(ClassifierMixin, _LambdaNetwork):  # type: ignore[misc]
    """A classifier that a deployment of LNN trains; see ``_LambdaNetwork`` for its other parameters.

    Args:
        class_weight: None, "balanced", or {label: weight}.
    """

    def __init__(
        self,
        hidden_layers: Sequence[int] = (32,),
        *,
        activation: str = "relu",
        optimizer: str = "adam",
        learning_rate: float = 0.01,
        epochs: int = 100,
        batch_size: int | str | None = "auto",
        l2: float = 0.0,
        dropout: float = 0.0,
        class_weight: Mapping[Any, float] | str | None = None,
        validation: float | None = None,
        patience: int | None = None,
        test: float = 0.1,
        strategy: str = "auto",
        settings: Mapping[str, Any] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        cloud: Cloud | str = "local",
        timeout: float | None = None,
    ) -> None:
        super().__init__(
            hidden_layers,
            activation=activation,
            optimizer=optimizer,
            learning_rate=learning_rate,
            epochs=epochs,
            batch_size=batch_size,
            l2=l2,
            dropout=dropout,
            validation=validation,
            patience=patience,
            test=test,
            strategy=strategy,
            settings=settings,
            warm_start=warm_start,
            random_state=random_state,
            cloud=cloud,
            timeout=timeout,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on the examples X (m, n) and their labels y (m,), and wait for the run's end.

        ``sample_weight`` (m,) says how much each example counts in the cost of training, beside ``class_weight``. One
        of weight 0 is left out.
        """
        X, y = validate_data(self, X, y, dtype="numeric")
        check_classification_targets(y)
        X, y, weights = _weighted(X, y, sample_weight)
        self.classes_, indices = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            found = f"one class, {self.classes_[0]!r}" if len(self.classes_) else "no class"
            raise ValueError(f"found {found}; a classifier needs two classes at least")
        of_classes: Mapping[str, float] | str | None = self.class_weight
        if isinstance(of_classes, Mapping):
            places = {label: place for place, label in enumerate(self.classes_.tolist())}
            of_classes = {
                _class_name(places[label]): float(weight) for label, weight in of_classes.items() if label in places
            }
        self._train(X, indices, weights, output_layer(len(self.classes_)), {"class_weight": of_classes})
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """The probability of each of ``classes_``, (m, K)."""
        checked = self._checked(X)
        return self.model_.predict_proba(checked)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each example, (m,)."""
        probabilities = self.predict_proba(X)
        answers: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return answers


class LambdaRegressor(RegressorMixin, _LambdaNetwork):  # type: ignore[misc]
    """A regressor of one or several targets that a deployment of LNN trains."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train on the examples X (m, n) and numbers y, (m,) or (m, targets), and wait for the run's end.

        ``sample_weight`` (m,) says how much each example counts in the cost of training. One of weight 0 is left out.
        """
        X, y = validate_data(self, X, y, dtype="numeric", multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        X, y, weights = _weighted(X, y.astype(np.float64), sample_weight)
        # The size of the numbers is not that of the weights: the network learns them in deviations from their mean.
        # With the examples' weights: an example that hardly counts hardly moves the scale, so that 0 is no jump.
        self._mean = np.average(y, axis=0, weights=weights)
        deviation = np.sqrt(np.average(np.square(y - self._mean), axis=0, weights=weights))
        self._scale = np.where(deviation > 0, deviation, 1.0)
        targets = 1 if y.ndim == 1 else y.shape[1]
        self._train(X, (y - self._mean) / self._scale, weights, (targets, "linear"), {})
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The numbers, (m,) or (m, targets)."""
        checked = self._checked(X)
        outputs: NDArray[np.float64] = self.model_.predict(checked) * self._scale + self._mean
        return outputs


def _class_name(index: int) -> str:
    """What the run calls a class: labels may be of any type, and be texts that no name may be."""
    return f"class {index}"


@lru_cache
def _cloud(target: str) -> Cloud:
    return Cloud(target)
