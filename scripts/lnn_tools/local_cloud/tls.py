"""TLS and logins for the local Redis, as ElastiCache has them: LNN_REDIS_TLS=1."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import redis

from lnn_tools.local_cloud.home import Home
from lnn_tools.local_cloud.ports import LOOPBACK
from lnn_tools.local_cloud.processes import Service

VARIABLE = "LNN_REDIS_TLS"
ADMINISTRATOR = "administrator"


def wanted() -> bool:
    """Whether the environment asks for TLS."""
    return os.environ.get(VARIABLE, "") not in {"", "0"}


def authority(home: Home) -> Path:
    """The certificate that clients trust; boto3 and Terraform speak plain HTTP to the emulator and need none."""
    return home.path / "tls" / "authority.pem"


def options(home: Home, port: int, password: str) -> dict[str, Any]:
    """A server's options: TLS on its only port, a certificate of its own, and nobody but the administrator."""
    import trustme  # noqa: PLC0415 - only where TLS is asked for: the benchmark's environment has no need of it

    folder = authority(home).parent
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(authority(home)))
    certificate = issuer.issue_cert(LOOPBACK, "localhost")
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    users = folder / "users.acl"
    users.write_text(f"user default off\nuser {ADMINISTRATOR} on >{password} ~* &* +@all\n")
    users.chmod(0o600)
    return {
        "port": 0,
        "tls-port": port,
        "tls-auth-clients": "no",
        "tls-cert-file": folder / "certificate.pem",
        "tls-key-file": folder / "key.pem",
        "aclfile": users,
    }


def connection(home: Home, server: Service) -> dict[str, Any]:
    """How the administrator connects, as arguments of a client; a server without TLS takes anybody."""
    plain = {"host": LOOPBACK, "port": server.port}
    if not server.secret:
        return plain
    login = {"username": ADMINISTRATOR, "password": server.secret}
    return plain | login | {"ssl": True, "ssl_ca_certs": str(authority(home))}


def grant(home: Home, server: Service, users: Iterable[Mapping[str, Any]]) -> None:
    """Makes ElastiCache's users the server's.

    ElastiCache checks the token that a user signs with IAM; a Redis cannot. So any password is taken here: it keeps
    a user to its access string, and nobody out.
    """
    with redis.Redis(**connection(home, server)) as administrator:
        for user in users:
            administrator.execute_command(
                "ACL", "SETUSER", user["UserName"], "reset", *user["AccessString"].split(), "nopass"
            )
