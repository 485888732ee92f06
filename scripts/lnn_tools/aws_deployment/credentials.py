"""The credentials of a deployment: boto3 finds them once, and Terraform gets them in its environment.

The AWS provider 5.x and the S3 backend do not support `aws login`, nor every SSO profile that boto3 supports:
https://github.com/hashicorp/terraform-provider-aws/issues/45316 and 45589.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lnn_client.cloud import region_of_environment
from lnn_tools.errors import ToolError

# A first deployment takes ten to fifteen minutes, most of them for the cache; AWS allows itself more.
DEPLOYMENT_MINUTES = 30
LEAST_MINUTES = 5
LOG_IN = "log in again ('aws login', or 'aws sso login'), or set AWS_PROFILE to another profile"
# A profile would take precedence over the credentials that Terraform is given.
PROFILES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials and their account."""

    account: str
    profile_region: str | None
    """The region of the profile or the environment."""
    credentials: Any
    """botocore's object, which renews credentials that can be renewed."""

    def environment(self, others: Mapping[str, str]) -> dict[str, str]:
        """The environment that gives Terraform these credentials, and no profile.

        Raises:
            ToolError: they have expired and cannot be renewed.
        """
        try:
            keys = self.credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError, RuntimeError) as error:  # RuntimeError: renewed, but expired already
            raise ToolError(f"the AWS login has ended ({error}); {LOG_IN}") from error
        named = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.token,
        }
        kept = {name: value for name, value in others.items() if name not in named and name not in PROFILES}
        return kept | {name: value for name, value in named.items() if value}

    def lasts(self, minutes: int) -> bool:
        """True if the credentials are valid for ``minutes`` more, or have no known expiry."""
        needed: Callable[[int], bool] | None = getattr(self.credentials, "refresh_needed", None)
        return needed is None or not needed(minutes * 60)

    def check_time(self, say: Callable[[str], None]) -> None:
        """Warns if the credentials may expire during a deployment.

        Raises:
            ToolError: they expire within minutes.
        """
        self.environment({})  # renews what can be renewed
        if not self.lasts(LEAST_MINUTES):
            raise ToolError(f"the AWS credentials expire within {LEAST_MINUTES} minutes; {LOG_IN}")
        if not self.lasts(DEPLOYMENT_MINUTES):
            say(
                f"aws: the credentials expire within {DEPLOYMENT_MINUTES} minutes, and a first deployment may take as "
                "long. If they expire during it, log in again and repeat the command: it continues where it stopped."
            )


def identity() -> Identity:
    """The identity of the credentials that boto3 finds.

    Raises:
        ToolError: there are none, or they do not work.
    """
    try:
        session = boto3.Session()
        credentials = session.get_credentials()
        if credentials is None:
            raise ToolError("no AWS credentials; run 'aws login' or 'aws configure', or set AWS_PROFILE")
        account = session.client("sts", region_name=session.region_name or "us-east-1").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise ToolError(f"no working AWS credentials ({error}); {LOG_IN}") from error
    return Identity(str(account), region_of_environment() or session.region_name, credentials)
