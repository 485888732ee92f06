"""TLS and users for the local Redis, as ElastiCache has them (LNN_REDIS_TLS=1)."""

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
    """True if the environment asks for TLS."""
    return os.environ.get(VARIABLE, "") not in {"", "0"}


def authority(home: Home) -> Path:
    """The certificate that Redis clients trust. boto3 and Terraform use plain HTTP and need none."""
    return home.path / "tls" / "authority.pem"


def options(home: Home, port: int, password: str) -> dict[str, Any]:
    """The server's options: TLS on its only port, a new certificate, and the administrator as its only user."""
    import trustme  # noqa: PLC0415 - the benchmark's environment has no trustme, and no TLS

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
    """The client's arguments for the administrator; a server without TLS needs no login."""
    plain = {"host": LOOPBACK, "port": server.port}
    if not server.secret:
        return plain
    login = {"username": ADMINISTRATOR, "password": server.secret}
    return plain | login | {"ssl": True, "ssl_ca_certs": str(authority(home))}


def grant(home: Home, server: Service, users: Iterable[Mapping[str, Any]]) -> None:
    """Copies ElastiCache's users to the server.

    Redis cannot check the IAM token that ElastiCache takes as a password, so it takes any password here: the access
    string limits what a user may do, but not who may log in.
    """
    with redis.Redis(**connection(home, server)) as administrator:
        for user in users:
            administrator.execute_command(
                "ACL", "SETUSER", user["UserName"], "reset", *user["AccessString"].split(), "nopass"
            )
