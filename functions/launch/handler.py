"""LaunchLambda: validates an uploaded dataset, prepares the run and starts its Trainer."""

from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import wiring
from lnn.aws.clients import PROMPT, client
from lnn.aws.events import uploads
from lnn.aws.idempotency import Idempotency
from lnn.data.uploads import UploadReader
from lnn.environment import Environment
from lnn.launch import launch
from lnn.runs import logs

environment = Environment.read()
services = wiring.services(environment)
inbox = UploadReader(client("s3"), prompt=client("s3", PROMPT))
once = Idempotency(environment.invocations_table)


@logs.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Open a run for each upload in an S3 event; answers what became of each."""
    outcomes = {}
    for upload in uploads(event):
        logs.at(run_id=upload.run_id, generation=0, state="launch", epoch=0)
        work = partial(launch, services, inbox, upload, int(context.memory_limit_in_mb))
        outcomes[upload.run_id] = once.run(upload.run_id, work, context)
        logs.logger.info("upload handled", extra={"key": upload.key, "outcome": outcomes[upload.run_id]})
    return outcomes
