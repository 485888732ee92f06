"""The arithmetic of a strategy: all that a strategy has of its own where the session keeps the run."""

from dataclasses import dataclass
from typing import Protocol

from lnn.models.checkpoint import Checkpoint
from lnn.network import Clipping, Tally
from lnn.network.batches import Batch
from lnn.network.types import Labels, Parameters


@dataclass(frozen=True, slots=True)
class StepResult:
    """What every worker knows after a step."""

    cost: float
    """Of the whole batch, before the update."""
    seen: Tally
    """Sums over the whole batch before the update; without the cost."""
    test: Tally | None = None
    """Sums over the test examples before the update, where they were asked for."""
    gradient_norm: float | None = None
    """Of the batch's gradient before it was clipped; None where it is not."""


def norm_of(clipping: Clipping | None) -> float | None:
    """The norm of the latest gradient; None where gradients are not clipped."""
    return None if clipping is None else clipping.norm


class Engine(Protocol):
    """One worker's part of the arithmetic, with the parameters in it.

    It is made from a checkpoint. Where workers train together, all of them call every method, in the same order.
    """

    def step(self, batch: Batch, t: int, tally: bool, following: Batch = None) -> StepResult:
        """One update, number ``t`` from 1, with the examples of ``batch``; ``tally`` asks for ``test``.

        ``following`` is the next step's batch, for engines that prepare it while parts travel; None if there is none.
        """

    def train_tally(self) -> Tally:
        """The sums over the training examples with the parameters as they are; the cost is not asked for."""

    def test_tally(self) -> Tally:
        """The sums over the test examples with the parameters as they are; the cost where the history has it."""

    def test_counts(self) -> Labels:
        """The ``lnn.network.class_counts`` of all test examples with the parameters as they are; of classes only."""

    def validation_tally(self) -> Tally:
        """The sums over the validation examples with the parameters as they are, the cost among them."""

    def keep(self) -> None:
        """Keep a copy of the parameters as they are: they are the best so far, in place of those kept before."""

    def use_kept(self) -> None:
        """Take the parameters that were kept, if there are any: nothing but tallies follows."""

    def checkpoint(self, epoch: int) -> Checkpoint | None:
        """The whole state after ``epoch``, put together by worker 0; None for the others."""

    def close(self) -> None:
        """Give back what the engine holds besides memory: nothing is asked of it afterwards."""
        return


def copied(parameters: Parameters) -> Parameters:
    return [(W.copy(), b.copy()) for W, b in parameters]
