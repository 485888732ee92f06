"""RegisterLambda: enters each uploaded model and puts it into staging."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import wiring
from lnn.aws.events import uploads
from lnn.environment import Environment
from lnn.runs import logs
from lnn.serving.registration import register

shelf = wiring.shelf(Environment.read())


@logs.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Register each upload in an S3 event; answers what became of each."""
    outcomes = {}
    for upload in uploads(event):
        outcomes[upload.key] = register(shelf, upload)
        logs.logger.info("upload handled", extra={"key": upload.key, "outcome": outcomes[upload.key]})
    return outcomes
