"""The AWS services that a function works with, handed to the library as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lnn.aws.invoker import Invoker
from lnn.aws.notifier import Notifier
from lnn.aws.pricing import lambda_usd, logs_usd
from lnn.environment import Environment
from lnn.models.store import Artifacts
from lnn.runs.log_size import METRICS_BYTES, closing_bytes
from lnn.runs.store import Ledger

if TYPE_CHECKING:
    from lnn.parameter_server.server import ParameterServer
    from lnn.runs.capacity import Capacity


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
    capacity: Capacity | None = None
    """How many workers may run at once; None where no number is known."""

    def usd(self, seconds: float, invocations: int, metrics_lines: int = 0) -> float:
        """Price of this much of the Trainer and of what it logs, in US dollars."""
        environment = self.environment
        logged = invocations * closing_bytes(environment.log_level) + metrics_lines * METRICS_BYTES
        return lambda_usd(seconds, environment.trainer_memory_mb, invocations, environment.architecture) + logs_usd(
            logged
        )

    def worker_usd(self, seconds: float, invocations: int, metrics_lines: int = 0) -> float:
        """Price of this much of the Neuron as a worker that stays, and of what it logs, in US dollars."""
        logged = invocations * closing_bytes(self.environment.log_level) + metrics_lines * METRICS_BYTES
        return self._neuron_usd(seconds, invocations) + logs_usd(logged)

    def neuron_usd(self, seconds: float, invocations: int) -> float:
        """Price of this much of the Neuron as single neurons, and of what they log, in US dollars."""
        logged = invocations * closing_bytes(self.environment.log_level, neuron=True)
        return self._neuron_usd(seconds, invocations) + logs_usd(logged)

    def _neuron_usd(self, seconds: float, invocations: int) -> float:
        environment = self.environment
        return lambda_usd(seconds, environment.neuron_memory_mb, invocations, environment.architecture)
