"""PredictLambda: answers the prediction API."""

from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lnn import wiring
from lnn.aws.events import http_request
from lnn.environment import Environment
from lnn.runs import logs

api = wiring.prediction_api(Environment.read(), Path(__file__).parent)


@logs.invocation
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one HTTP request."""
    request = http_request(event)
    reply = api.answer(request)
    told = {"method": request.method, "path": request.path[:100], "status": reply.status}
    logs.logger.info("answered", extra=told)
    return reply.as_event()
