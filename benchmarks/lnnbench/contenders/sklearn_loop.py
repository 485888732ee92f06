"""The same network and settings in scikit-learn's MLPClassifier.

It draws its own starting weights and batches, so its costs are close to the others', but not equal. The time is that
of ``fit``, with its checks of the input.
"""

import time
import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from lnnbench.contenders.job import answer, read_job


def main() -> None:
    job = read_job()
    classifier = MLPClassifier(
        hidden_layer_sizes=[len(W) for W, _ in job.weights[:-1]],
        activation="relu",
        solver="sgd",
        alpha=0.0,
        batch_size=job.batch_size or len(job.x),
        learning_rate_init=job.learning_rate,
        max_iter=job.epochs,
        momentum=0.0,
        nesterovs_momentum=False,
        shuffle=job.batch_size is not None,
        tol=0.0,
        n_iter_no_change=job.epochs + 1,
        random_state=0,
    )
    began = time.perf_counter()
    with warnings.catch_warnings():
        # It warns that it stopped at max_iter, which is intended.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(job.x, job.y)
    seconds = time.perf_counter() - began
    if classifier.n_iter_ != job.epochs:
        raise RuntimeError(f"trained {classifier.n_iter_} of {job.epochs} epochs")
    answer(job, seconds, classifier.loss_curve_)


if __name__ == "__main__":
    main()
