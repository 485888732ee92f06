"""Loopback ports: the default ones, others from the environment, or any free one."""

import errno
import os
import socket

from lnn_tools.local_cloud.errors import LocalCloudError
from lnn_tools.local_cloud.processes import owner_of

LOOPBACK = "127.0.0.1"


def wanted_port(variable: str, default: int) -> int | None:
    """The port that the environment asks for, `default` if it says nothing, None (any) if it says 0.

    Raises:
        LocalCloudError: it is no port.
    """
    text = os.environ.get(variable, "") or str(default)
    if not text.isdecimal() or int(text) > 65535:
        raise LocalCloudError(f"{variable}={text} is no port; give a number from 1024 to 65535, or 0 for any free one")
    return int(text) or None


def claim_port(variable: str, wanted: int | None, what: str) -> int:
    """`wanted` if nothing listens there, or a free port if it is None.

    Raises:
        LocalCloudError: something else listens there; it says what, and how to choose another port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted or 0))
        except OSError as error:
            if wanted is None or error.errno != errno.EADDRINUSE:
                raise LocalCloudError(f"port {wanted} for {what} cannot be used: {error.strerror}") from error
            raise LocalCloudError(
                f"port {wanted} for {what} is in use by {owner_of(wanted)}; "
                f"end that, or choose another port: {variable}={wanted + 100} make up"
            ) from error
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
