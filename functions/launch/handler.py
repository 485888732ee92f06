"""LaunchLambda: validates an uploaded dataset, prepares the run and starts its Trainer."""

from __future__ import annotations

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import clients, journal
from lnn.environment import Environment
from lnn.events import uploads
from lnn.inbox import Inbox
from lnn.launching import launch
from lnn.once import Once

environment = Environment.read()
services = clients.services(environment)
inbox = Inbox(clients.client("s3"), prompt=clients.client("s3", clients.PROMPT))
once = Once(environment.invocations_table)


@journal.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Open a run for each upload in an S3 event; answers what became of each."""
    outcomes = {}
    for upload in uploads(event):
        journal.at(run_id=upload.run_id, generation=0, state="launch", epoch=0)
        work = partial(launch, services, inbox, upload, int(context.memory_limit_in_mb))
        outcomes[upload.run_id] = once.run(upload.run_id, work, context)
        journal.logger.info("upload handled", extra={"key": upload.key, "outcome": outcomes[upload.run_id]})
    return outcomes
