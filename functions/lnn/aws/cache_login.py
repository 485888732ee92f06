"""The IAM token of an ElastiCache user, signed with the function's own credentials."""

from urllib.parse import urlencode

import botocore.session
from botocore.model import ServiceId
from botocore.signers import RequestSigner

from lnn.errors import LnnError


def signed_token(cache: str, user: str, region: str, lifetime_seconds: int) -> str:
    """A presigned ``connect`` request without its scheme (ElastiCache user guide, "Authenticating with IAM").

    Raises:
        LnnError: the function has no credentials.
    """
    session = botocore.session.get_session()
    credentials = session.get_credentials()
    if credentials is None:
        raise LnnError("no AWS credentials to sign the cache's IAM token with")
    events = session.get_component("event_emitter")
    signer = RequestSigner(ServiceId("elasticache"), region, "elasticache", "v4", credentials, events)
    query = urlencode({"Action": "connect", "User": user})
    request = {"method": "GET", "url": f"https://{cache}/?{query}", "body": {}, "headers": {}, "context": {}}
    signed: str = signer.generate_presigned_url(
        request, operation_name="connect", expires_in=lifetime_seconds, region_name=region
    )
    return signed.removeprefix("https://")
