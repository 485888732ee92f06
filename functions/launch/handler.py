"""LaunchLambda: validates an uploaded dataset, prepares the run and starts its Trainer."""

from __future__ import annotations

from functools import partial
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import clients
from lnn.environment import Environment
from lnn.events import uploads
from lnn.inbox import Inbox
from lnn.launching import launch
from lnn.once import Once

logger = Logger()
environment = Environment.read()
services = clients.services(environment)
inbox = Inbox(clients.client("s3"))
once = Once(environment.invocations_table)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Open a run for each upload in an S3 event; answers what became of each."""
    outcomes = {}
    for upload in uploads(event):
        logger.append_keys(run_id=upload.run_id)
        work = partial(launch, services, inbox, upload, int(context.memory_limit_in_mb))
        outcomes[upload.run_id] = once.run(upload.run_id, work, context)
        logger.info("upload handled", extra={"key": upload.key, "outcome": outcomes[upload.run_id]})
    return outcomes
