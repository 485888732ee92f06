"""Loopback ports: the default, one from the environment, or any free port."""

import errno
import os
import socket

from lnn_tools.errors import ToolError
from lnn_tools.local_cloud.processes import owner_of

LOOPBACK = "127.0.0.1"


def wanted_port(variable: str, default: int) -> int | None:
    """The port that the environment names, else `default`; None, which means any free port, for 0.

    Raises:
        ToolError: the variable is not a port number.
    """
    text = os.environ.get(variable, "") or str(default)
    if not text.isdecimal() or int(text) > 65535:
        raise ToolError(f"{variable}={text} is not a port; give a number from 1024 to 65535, or 0 for any free port")
    return int(text) or None


def claim_port(variable: str, wanted: int | None, what: str) -> int:
    """Returns `wanted`, or a free port for None, after a test that nobody else listens there.

    Raises:
        ToolError: the port is in use; names the process, and the variable that chooses another port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted or 0))
        except OSError as error:
            if wanted is None or error.errno != errno.EADDRINUSE:
                raise ToolError(f"port {wanted} for {what} cannot be used: {error.strerror}") from error
            raise ToolError(
                f"port {wanted} for {what} is in use by {owner_of(wanted)}; "
                f"end that, or choose another port: {variable}={wanted + 100} make up"
            ) from error
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    """True if something accepts connections on a port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
