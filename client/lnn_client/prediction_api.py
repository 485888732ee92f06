"""The prediction API of a deployment: where it is, and requests to it, signed with the credentials at hand."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lnn_client.cloud import Cloud, Target, local_description
from lnn_client.errors import ClientError, NoCredentials, NotDeployed

TIMEOUT_SECONDS = 35
"""API Gateway gives up after 30 s (HTTP API quotas)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ClientError: the request was refused.
        """
        try:
            content = json.loads(self.body)
        except ValueError:
            content = {}
        if self.status != 200:
            reason = content.get("reason") or content.get("message") or self.body[:200].decode(errors="replace")
            raise ClientError(f"the prediction API answered {self.status}: {reason}")
        return content


class Api:
    """The prediction API of one deployment."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.url = _address(cloud)

    def call(self, method: str, path: str, body: bytes = b"", content_type: str | None = None) -> Answer:
        """Call a path, relative to the API's own address, with a signed request.

        Raises:
            NoCredentials: there are none to sign with.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.httpsession import URLLib3Session

        credentials = self._cloud.session.get_credentials()
        if credentials is None:
            raise NoCredentials("no usable AWS credentials")
        headers = {"content-type": content_type} if content_type else {}
        request = AWSRequest(method, self.url + path, headers=headers, data=body)
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", self._cloud.region).add_auth(request)
        # One for each call: they come from several threads.
        reply = URLLib3Session(timeout=TIMEOUT_SECONDS, proxies={}).send(request.prepare())
        return Answer(reply.status_code, dict(reply.headers), reply.content)


def _address(cloud: Cloud) -> str:
    """Where the API is, with a slash at its end.

    Raises:
        ClientError: it is not deployed.
    """
    if cloud.target is Target.LOCAL:
        found = local_description().get("predictions")
        if not found:
            raise ClientError("the local cloud has no prediction API; deploy it with: make up")
        return str(found)
    name = cloud.names.prediction_api
    pages = cloud.client("apigatewayv2").get_paginator("get_apis").paginate()
    for api in (entry for page in pages for entry in page["Items"]):
        if api["Name"] == name:
            return f"{api['ApiEndpoint']}/"
    raise NotDeployed(f"there is no API {name} in {cloud.region}: the system is not deployed")
