"""The AWS services that a function works with, handed to the library as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lnn.artifacts import Artifacts
from lnn.environment import Environment
from lnn.invoker import Invoker
from lnn.ledger import Ledger
from lnn.notify import Notifier
from lnn.prices import lambda_usd

if TYPE_CHECKING:
    from lnn.cache import ParameterServer


@dataclass(frozen=True, slots=True)
class Services:
    """Stores and messengers of one deployment, each with its client inside."""

    environment: Environment
    ledger: Ledger
    artifacts: Artifacts
    notifier: Notifier
    invoker: Invoker
    server: Callable[[str], ParameterServer]
    """The parameter server of a run; connects when it is first asked for."""

    def usd(self, seconds: float, invocations: int) -> float:
        """Price of this much of the Trainer, in US dollars."""
        environment = self.environment
        return lambda_usd(seconds, environment.trainer_memory_mb, invocations, environment.architecture)

    def neuron_usd(self, seconds: float, invocations: int) -> float:
        """Price of this much of the Neuron, in US dollars."""
        environment = self.environment
        return lambda_usd(seconds, environment.neuron_memory_mb, invocations, environment.architecture)
