"""What the errors of boto3 and botocore mean to whoever works with a deployment."""

from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore import exceptions as aws

from lnn_client.errors import AwsFailure, ClientError, NoCredentials, NoLogin, NoRegion, NotDeployed, Unreachable

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403", "Forbidden"}
_ABSENT = {"ResourceNotFoundException", "NoSuchBucket", "NotFound", "404", "NotFoundException"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_UNKNOWN_KEY = {
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "AuthFailure",
}
_NETWORK = (aws.HTTPClientError, aws.ConnectionError)
_CONFIGURATION: dict[type[BaseException], tuple[type[ClientError], str]] = {
    aws.CredentialRetrievalError: (NoCredentials, "no usable AWS credentials ({error})"),
    aws.NoAuthTokenError: (NoLogin, "the AWS login is not valid ({error})"),
    aws.NoCredentialsError: (NoCredentials, "no usable AWS credentials ({error})"),
    aws.NoRegionError: (NoRegion, "no AWS region is set"),
    aws.PartialCredentialsError: (NoCredentials, "no usable AWS credentials ({error})"),
    aws.ProfileNotFound: (ClientError, "{error}; set AWS_PROFILE to one of yours, or unset it"),
    aws.SSOTokenLoadError: (NoLogin, "the AWS login is not valid ({error})"),
    aws.TokenRetrievalError: (NoLogin, "the AWS login is not valid ({error})"),
    aws.UnauthorizedSSOTokenError: (NoLogin, "the AWS login is not valid ({error})"),
}


def explained(error: BaseException) -> ClientError | None:
    """The client's error for one that a call to AWS has raised; None for an error of another origin."""
    if isinstance(error, S3UploadFailedError) and error.__context__ is not None:
        return explained(error.__context__)
    if isinstance(error, aws.ClientError):
        return _refusal(error)
    if isinstance(error, _NETWORK) and not isinstance(error, aws.SSLError):
        return Unreachable(str(error.kwargs.get("endpoint_url", "")))
    if isinstance(error, aws.BotoCoreError | Boto3Error):
        kind, text = _CONFIGURATION.get(type(error), (AwsFailure, "AWS: {error}"))
        return kind(text.format(error=error))
    return None


def _refusal(error: aws.ClientError) -> ClientError:
    """The meaning of an answer that AWS gave to an operation."""
    operation, answer = error.operation_name, error.response.get("Error", {})
    code, text = str(answer.get("Code", "")), answer.get("Message", "")
    if code in _DENIED:
        return ClientError(f"AWS refused {operation}: {text or code}; use credentials that may do that")
    if code in _ABSENT:
        return NotDeployed(f"{operation} found nothing there ({text or code}): the system is not deployed")
    if code in _EXPIRED:
        return ClientError("the AWS credentials have expired; log in again")
    if code in _UNKNOWN_KEY:
        return NoCredentials(f"AWS does not know these credentials ({code})")
    return ClientError(f"{operation} failed with {code}: {text}")
