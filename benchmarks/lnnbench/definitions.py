"""LNN's optimizers, schedules, clipping, losses and activations beside PyTorch's own, in float64.

Both get the same drawn numbers. Where the definitions differ, as docs/parameters.md says, the conversion is stated
beside the comparison.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lnn.network import OPTIMIZERS, Optimizer, Schedule
from lnn.network.activations import ACTIVATIONS, LEAK
from lnn.network.clipping import Clipping
from lnn.network.initializers import init_parameters
from lnn.network.losses import DELTA, LINEAR, REGRESSION_LOSSES, Loss, cost_from_logits, output_activation, output_delta
from lnn.network.model import new_slots, train_step
from lnn.network.optimizers import CONSTANTS
from lnn.network.schedules import SCHEDULES
from lnn.network.types import Array

BOUND = 1e-9
"""The largest difference that passes."""

EPOCHS, BATCHES = 10, 5
UPDATES = EPOCHS * BATCHES
RATE = 0.05
SHAPES = ((7, 5), (7, 1), (3, 7), (3, 1))
"""Weights (units, units_prev) and biases (units, 1) of two layers."""

OTHER_CONSTANTS = {"momentum": 0.5, "beta1": 0.7, "beta2": 0.95, "epsilon": 0.03}
CLASS_WEIGHTS = (0.4, 1.7, 3.0)


@dataclass(frozen=True)
class Row:
    """One comparison: what of LNN, with what of PyTorch."""

    lnn: str
    pytorch: str
    difference: float
    """The largest of any entry, over all updates."""

    @property
    def passed(self) -> bool:
        """False for NaN, too."""
        return self.difference <= BOUND


def comparisons() -> Iterator[Row]:
    """All of them."""
    for part in (optimizers, schedules, clipping, losses, activations, trainings):
        yield from part()


def optimizers() -> Iterator[Row]:
    """Every optimizer over drawn gradients, with its usual constants and with others."""
    for name in OPTIMIZERS:
        decay = 0.3 if name == "adamw" else 0.0
        usual: dict[str, float] = {}
        sets = (("usual constants", usual), ("other constants", OTHER_CONSTANTS))
        for said, constants in sets if CONSTANTS[name] else (("no constants", usual),):
            rule = Optimizer(name, RATE, weight_decay=decay, **constants)
            theirs = torch_optimizer(rule, [], [])
            yield Row(f"`{name}`, {said}", f"`optim.{type(theirs).__name__}`", after_updates(rule))


def after_updates(rule: Optimizer) -> float:
    random = np.random.default_rng(0)
    ours = [random.standard_normal(shape) for shape in SHAPES]
    theirs = [torch.tensor(param, requires_grad=True) for param in ours]
    slots = [rule.new_slots(param) for param in ours]
    optimizer = torch_optimizer(rule, theirs[::2], theirs[1::2])
    found = []
    for t in range(1, UPDATES + 1):
        for place, param in enumerate(ours):
            gradient = random.standard_normal(param.shape)
            theirs[place].grad = torch.tensor(gradient)
            update = rule.update if place % 2 else rule.update_weights
            update(param, gradient, slots[place], t)
        optimizer.step()
        found += [difference(mine, param) for mine, param in zip(ours, theirs, strict=True)]
    return worst(found)


def torch_optimizer(rule: Optimizer, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Any:
    """PyTorch's optimizer of the same rule. Biases do not decay in LNN; in PyTorch they have a group of their own."""
    groups = [{"params": weights, "weight_decay": rule.weight_decay}, {"params": biases, "weight_decay": 0.0}]
    match rule.name:
        case "sgd":
            return torch.optim.SGD(groups, rule.learning_rate)
        case "momentum" | "nesterov" as name:
            nesterov = name == "nesterov"
            return torch.optim.SGD(groups, rule.learning_rate, momentum=rule.momentum, nesterov=nesterov)
        case "adam" | "adamw" as name:
            kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
            return kind(groups, rule.learning_rate, betas=(rule.beta1, rule.beta2), eps=rule.epsilon)
    raise ValueError(f"PyTorch's counterpart of {rule.name} is not stated here")


SCHEDULERS = {
    "constant": "ConstantLR",
    "step": "StepLR",
    "exponential": "ExponentialLR",
    "cosine": "CosineAnnealingLR",
}


def schedules() -> Iterator[Row]:
    """The learning rate of every update under every schedule, with and without a warm-up."""
    given: dict[str, dict[str, Any]] = {
        "constant": {},
        "step": {"every": 3, "factor": 0.5},
        "exponential": {"factor": 0.8},
        "cosine": {},
    }
    for kind in SCHEDULES:
        for warmup in (0, 2):
            schedule = Schedule(kind, warmup_epochs=warmup, **given[kind])
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], RATE)
            scheduler = TorchSchedule(schedule, optimizer)
            found = []
            for t in range(1, UPDATES + 1):
                rate = RATE * schedule.share(t, BATCHES, EPOCHS)
                found.append(abs(rate - optimizer.param_groups[0]["lr"]))
                optimizer.step()
                scheduler.step(t)
            said, rising = (f", {warmup} epochs of warm-up", "`LinearLR`, then ") if warmup else ("", "")
            yield Row(f"`{kind}`{said}", f"{rising}`{SCHEDULERS[kind]}`", worst(found))


class TorchSchedule:
    """PyTorch's schedulers of an LNN schedule.

    LNN's warm-up rises from rate / n in the first of its n updates to the rate in the last: a ``LinearLR`` that steps
    after each update. The schedule then steps once an epoch, and its first epoch has the whole rate.
    """

    def __init__(self, schedule: Schedule, optimizer: Any) -> None:
        self.schedule, self.optimizer = schedule, optimizer
        self.warmup = schedule.warmup_epochs * BATCHES
        scheduler = torch.optim.lr_scheduler
        self.current: Any = (
            scheduler.LinearLR(optimizer, start_factor=1 / self.warmup, total_iters=self.warmup - 1)
            if self.warmup
            else self.after_warmup()
        )

    def after_warmup(self) -> Any:
        kind = getattr(torch.optim.lr_scheduler, SCHEDULERS[self.schedule.kind])
        arguments: dict[str, dict[str, Any]] = {
            "constant": {"factor": 1.0},
            "step": {"step_size": self.schedule.every, "gamma": self.schedule.factor},
            "exponential": {"gamma": self.schedule.factor},
            "cosine": {"T_max": EPOCHS - self.schedule.warmup_epochs},
        }
        return kind(self.optimizer, **arguments[self.schedule.kind])

    def step(self, t: int) -> None:
        """Sets the rate of the update after ``t``."""
        if t < self.warmup:
            self.current.step()
        elif t == self.warmup:
            self.current = self.after_warmup()
        elif (t - self.warmup) % BATCHES == 0:
            self.current.step()


def clipping() -> Iterator[Row]:
    """The norm over several gradients, and the gradients, above the limit and below."""
    random = np.random.default_rng(1)
    gradients = [random.standard_normal(shape) for shape in SHAPES]
    norm = float(np.sqrt(sum(np.square(gradient).sum() for gradient in gradients)))
    for said, limit in (("norm above the limit", norm / 3), ("norm below the limit", norm * 3)):
        params = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES]
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = torch.tensor(gradient)
        ours, clipped = Clipping(limit), [gradient.copy() for gradient in gradients]
        ours.clip(clipped)
        theirs = clip_in_torch(params, limit)
        found = [difference(mine, param.grad) for mine, param in zip(clipped, params, strict=True)]
        yield Row(f"`clip_norm`, {said}", "`clip_grad_norm_`", worst([*found, abs(ours.norm - theirs)]))


def clip_in_torch(params: Sequence[Tensor], limit: float) -> float:
    """Clips and returns the norm.

    PyTorch adds 1e-6 to the norm that it divides by; a limit that is larger by the same share undoes it.
    """
    norm = float(torch.nn.utils.get_total_norm([param.grad for param in params]))
    return float(torch.nn.utils.clip_grad_norm_(params, limit * (norm + 1e-6) / norm))


def losses() -> Iterator[Row]:
    """Cost and its gradient by the logits: cross-entropies with and without class weights, losses of regression."""
    m, random = 40, np.random.default_rng(2)
    for output, units, classes in (("sigmoid", 1, 2), ("softmax", 3, 3)):
        labels = random.integers(classes, size=m)
        Y = (labels[np.newaxis] if units == 1 else np.eye(classes)[labels].T).astype(np.float64)
        Z = 3 * random.standard_normal((units, m))
        for weights in ((), CLASS_WEIGHTS[:classes]):
            loss = Loss(class_weight=weights)
            said = ", class weights" if weights else ""
            theirs = "binary_cross_entropy_with_logits" if units == 1 else "cross_entropy"
            found = difference_of_losses(output, Z, Y, loss, cross_entropy)
            yield Row(f"cross-entropy of `{output}`{said}", f"`{theirs}`", found)
    of: dict[str, Callable[..., Tensor]] = {
        "mse": functional.mse_loss,
        "mae": functional.l1_loss,
        "huber": lambda Z, Y: functional.huber_loss(Z, Y, delta=DELTA),
    }
    named = {"mse": "mse_loss", "mae": "l1_loss", "huber": "huber_loss"}
    for name in REGRESSION_LOSSES:
        for targets in (1, 3):
            Z, Y = 2 * random.standard_normal((targets, m)), random.standard_normal((targets, m))
            found = difference_of_losses(LINEAR, Z, Y, Loss(name), lambda Z, Y, loss: of[loss.name](Z, Y))
            yield Row(f"`{name}`, {targets} target{'s' if targets > 1 else ''}", f"`{named[name]}`", found)


def difference_of_losses(output: str, Z: Array, Y: Array, loss: Loss, of: Callable[[Any, Any, Loss], Tensor]) -> float:
    logits = torch.tensor(Z, requires_grad=True)
    cost = of(logits, torch.tensor(Y), loss)
    cost.backward()
    # An LNN delta is each example's own gradient; PyTorch's is that of the mean.
    ours = output_delta(output_activation(output, Z), Y, loss) / Z.shape[1]
    return worst([abs(cost_from_logits(output, Z, Y, loss) - cost.item()), difference(ours, logits.grad)])


def cross_entropy(Z: Tensor, Y: Tensor, loss: Loss) -> Tensor:
    """Z and Y (units, m). LNN divides the weighted sum by the m examples, PyTorch's "mean" by the sum of weights."""
    weights = torch.tensor(loss.class_weight, dtype=Z.dtype) if loss.class_weight else None
    if len(Z) > 1:
        return functional.cross_entropy(Z.T, Y.argmax(dim=0), weight=weights, reduction="sum") / Z.shape[1]
    of_examples = None if weights is None else weights[Y.to(torch.int64)]
    return functional.binary_cross_entropy_with_logits(Z, Y, weight=of_examples, reduction="sum") / Z.shape[1]


IN_TORCH: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "sigmoid": ("sigmoid", functional.sigmoid),
    "relu": ("relu", functional.relu),
    "tanh": ("tanh", functional.tanh),
    "leaky_relu": ("leaky_relu", lambda Z: functional.leaky_relu(Z, LEAK)),
    "elu": ("elu", functional.elu),
    "gelu": ('gelu(approximate="tanh")', lambda Z: functional.gelu(Z, approximate="tanh")),
    "silu": ("silu", functional.silu),
}


def activations() -> Iterator[Row]:
    """Values and slopes of the hidden layers' activations."""
    Z = 4 * np.random.default_rng(3).standard_normal((20, 30))
    for name, ours in ACTIVATIONS.items():
        said, of = IN_TORCH[name]
        at = torch.tensor(Z, requires_grad=True)
        A, theirs = ours.apply(Z), of(at)
        theirs.sum().backward()
        slopes = ours.derivative(ours.kept(Z, A))
        yield Row(f"`{name}` and its slope", f"`{said}`", worst([difference(A, theirs), difference(slopes, at.grad)]))


def trainings() -> Iterator[Row]:
    """All of it at once: costs and parameters of a network that trains with every optimizer."""
    for name in OPTIMIZERS:
        rule = Optimizer(name, RATE, weight_decay=0.1 if name == "adamw" else 0.0)
        yield Row(f"training with `{name}`", "autograd", training(rule, l2=0.0 if name == "adamw" else 2.0))


def training(rule: Optimizer, l2: float) -> float:
    hidden, m = ["elu", "gelu", "silu"], 20
    sizes, names = [6, 8, 7, 5, len(CLASS_WEIGHTS)], [*hidden, "softmax"]
    schedule, clip, loss = Schedule("cosine", warmup_epochs=2), Clipping(0.4), Loss(class_weight=CLASS_WEIGHTS)
    ours = init_parameters(sizes, names, "auto", 0, "float64")
    slots = new_slots(ours, rule)
    weights, biases = ([torch.tensor(one, requires_grad=True) for one in some] for some in zip(*ours, strict=True))
    optimizer = torch_optimizer(rule, weights, biases)
    scheduler = TorchSchedule(schedule, optimizer)
    random, found = np.random.default_rng(4), []
    for t in range(1, UPDATES + 1):
        X = random.standard_normal((sizes[0], m))
        Y = np.eye(sizes[-1])[random.integers(sizes[-1], size=m)].T
        now = replace(rule, learning_rate=RATE * schedule.share(t, BATCHES, EPOCHS))
        cost, _ = train_step(ours, slots, X, Y, now, t, names, l2, loss, clip)

        Z = torch.tensor(X)
        for W, b, name in zip(weights, biases, [*hidden, ""], strict=True):
            Z = W @ Z + b
            if name:
                Z = IN_TORCH[name][1](Z)
        penalty = l2 / (2 * m) * sum(torch.square(W).sum() for W in weights)
        theirs = cross_entropy(Z, torch.tensor(Y), loss) + penalty
        optimizer.zero_grad()
        theirs.backward()
        clip_in_torch([*weights, *biases], clip.limit)
        optimizer.step()
        scheduler.step(t)
        found.append(abs(cost - theirs.item()))
        for (W, b), of_W, of_b in zip(ours, weights, biases, strict=True):
            found += [difference(W, of_W), difference(b, of_b)]
    return worst(found)


def difference(ours: Array, theirs: Any) -> float:
    """The largest difference of two arrays of one shape; NaN where one of them has it."""
    other = theirs.detach().numpy()
    if ours.shape != other.shape or ours.dtype != np.float64 or other.dtype != np.float64:
        raise ValueError(f"{ours.dtype} {ours.shape} beside {other.dtype} {other.shape}")
    return float(np.abs(ours - other).max())


def worst(differences: Sequence[float]) -> float:
    """The largest, or NaN if one is."""
    return float(np.max(differences))
