"""The same training as a plain numpy loop, written from the textbook's formulas.

relu in the hidden layers; one sigmoid neuron or a softmax at the end. Columns are examples, as in the formulas.
"""

import time

import numpy as np

from lnnbench.contenders.job import Array, answer, read_job


def main() -> None:
    job = read_job()
    X, X_test = job.x.T, job.x_test.T
    classes = len(job.weights[-1][0])
    Y = (job.y if classes == 1 else job.y == np.arange(classes)[:, None]).reshape(classes, -1).astype(X.dtype)
    W, b = [W for W, _ in job.weights], [b for _, b in job.weights]
    depth, m, rate = len(W), len(job.x), job.learning_rate

    def forward(A: list[Array]) -> Array:
        for layer in range(depth - 1):
            A.append(np.maximum(W[layer] @ A[-1] + b[layer], 0))
        return W[-1] @ A[-1] + b[-1]

    costs, accuracies = [], []
    began = time.perf_counter()
    for epoch in range(job.epochs):
        cost, right = 0.0, 0
        for batch in job.batches(epoch):
            # Rows are contiguous in memory, so a batch is selected before it is transposed.
            A, Y_batch = ([X], Y) if batch is None else ([job.x[batch].T], Y[:, batch])
            Z = forward(A)
            size = Z.shape[1]
            if classes == 1:
                cost += float(np.sum(np.logaddexp(0, Z) - Y_batch * Z))
                dZ = (1 / (1 + np.exp(-Z)) - Y_batch) / size
            else:
                Z -= Z.max(axis=0)
                exponentials = np.exp(Z)
                total = exponentials.sum(axis=0)
                cost += float(np.sum(np.log(total)) - np.sum(Y_batch * Z))
                dZ = (exponentials / total - Y_batch) / size
            if job.accuracies:
                right += correct(Z, job.y if batch is None else job.y[batch])
            for layer in reversed(range(depth)):
                dW, db = dZ @ A[layer].T, dZ.sum(axis=1, keepdims=True)
                if layer:
                    dZ = (W[layer].T @ dZ) * (A[layer] > 0)
                W[layer] -= rate * dW
                b[layer] -= rate * db
        costs.append(cost / m)
        if job.accuracies:
            accuracies.append((right / m, correct(forward([X_test]), job.y_test) / len(job.y_test)))
    answer(job, time.perf_counter() - began, costs, accuracies)


def correct(Z: Array, y: Array) -> int:
    """The number of examples whose class y (m,) the logits Z (units, m) predict."""
    named = Z[0] > 0 if len(Z) == 1 else Z.argmax(axis=0)
    return int(np.count_nonzero(named == y))


if __name__ == "__main__":
    main()
