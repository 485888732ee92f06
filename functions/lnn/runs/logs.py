"""What a function tells about its work: JSON lines, each of which says to which place of which run it belongs.

The library logs with ``logging``, as any library does. A handler that is an ``invocation`` gives those lines, and its
own, to Powertools, which knows the place.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.utilities.typing import LambdaContext

if TYPE_CHECKING:
    from lnn.runs.record import Run

PLACE: Mapping[str, None] = dict.fromkeys(("run_id", "generation", "state", "epoch", "layer", "neuron"))
"""The fields that every line has; null where a line is about none, such as the neuron of a whole layer."""

LEVEL = os.environ.get("POWERTOOLS_LOG_LEVEL", "INFO")
"""The least severe lines that are written. Powertools itself would take the level of Lambda's filter, which Terraform
leaves lower than this, since it takes the lines of metrics for INFO."""

Outcome = TypeVar("Outcome")
Handler = Callable[[Any, LambdaContext], Outcome]


class _Formatter(LambdaPowertoolsFormatter):
    """Completes the place, and says how far into the invocation a line is and how much memory it has taken.

    Lambda's own lines would say both, of every invocation, at the price of a line more.
    """

    began = time.perf_counter()

    def serialize(self, log: Any) -> str:
        import resource  # here: Windows has no such module, and the `lnn` command imports this one there, too

        used = {
            "elapsed_seconds": round(time.perf_counter() - self.began, 4),
            # Linux has kilobytes here (getrusage(2)), the most at one time since the environment began.
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
        return super().serialize({**log, **PLACE, **log, **used})


_formatter = _Formatter(utc=True, use_rfc3339=True)  # the form of time that Lambda reads a line's level beside
logger = Logger(logger_formatter=_formatter)


def invocation(work: Handler[Outcome]) -> Handler[Outcome]:
    """Decorates a handler: all lines have their place, and what it raises is told with it, too."""
    library = logging.getLogger("lnn")
    library.handlers = [logger.registered_handler]
    library.setLevel(LEVEL)
    library.propagate = False
    logger.registered_handler.setLevel(LEVEL)
    # Lambda gives the root logger the level of its own filter: at DEBUG, botocore would tell of every request.
    logging.getLogger().setLevel(logging.WARNING)

    @logger.inject_lambda_context(clear_state=True)
    @wraps(work)
    def handler(event: Any, context: LambdaContext) -> Outcome:
        _formatter.began = time.perf_counter()
        try:
            return work(event, context)
        except Exception:
            logger.exception("invocation failed")
            raise

    return handler


def place() -> dict[str, Any]:
    """The place that lines belong to at present."""
    current = logger.get_current_keys()
    return {name: current.get(name) for name in PLACE}


def at(**place: Any) -> None:
    """From here on, lines belong to this place."""
    logger.append_keys(**place)


@contextmanager
def about(run: Run) -> Iterator[None]:
    """Lines in this context belong to the run."""
    with logger.append_context_keys(run_id=run.run_id, generation=run.generation):
        yield
