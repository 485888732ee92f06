"""The same training with PyTorch's modules, autograd and SGD, on all cores of the CPU."""

import os
import time

import torch
from torch import Tensor, nn

from lnnbench.contenders.job import Job, answer, read_job


def main() -> None:
    job = read_job()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    x, x_test = torch.from_numpy(job.x), torch.from_numpy(job.x_test)
    network = build(job)
    one_unit = len(job.weights[-1][0]) == 1
    y, y_test = torch.from_numpy(job.y), torch.from_numpy(job.y_test)
    target = y.to(x.dtype).unsqueeze(1) if one_unit else y
    loss_of = nn.BCEWithLogitsLoss() if one_unit else nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=job.learning_rate)

    costs, accuracies = [], []
    began = time.perf_counter()
    for epoch in range(job.epochs):
        cost, right = 0.0, 0
        for indices in job.batches(epoch):
            batch = slice(None) if indices is None else torch.from_numpy(indices)
            logits = network(x[batch])
            loss = loss_of(logits, target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cost += loss.item() * len(logits)
            if job.accuracies:
                right += correct(logits.detach(), y[batch])
        costs.append(cost / len(x))
        if job.accuracies:
            with torch.no_grad():
                accuracies.append((right / len(x), correct(network(x_test), y_test) / len(y_test)))
    answer(job, time.perf_counter() - began, costs, accuracies)


def build(job: Job) -> nn.Sequential:
    """Linear layers with the given weights, relu between them."""
    modules: list[nn.Module] = []
    for W, b in job.weights:
        linear = nn.Linear(W.shape[1], W.shape[0], dtype=torch.from_numpy(W).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W))
            linear.bias.copy_(torch.from_numpy(b[:, 0]))
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def correct(logits: Tensor, y: Tensor) -> int:
    """The number of examples whose class y (m,) the logits (m, units) predict."""
    named = (logits[:, 0] > 0).to(y.dtype) if logits.shape[1] == 1 else logits.argmax(dim=1)
    return int((named == y).sum())


if __name__ == "__main__":
    main()
