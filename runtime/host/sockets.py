"""Listening sockets: bind the port before anything slow is loaded."""

from __future__ import annotations

import socket
from contextlib import suppress

from runtime.errors import Refusal

# Of an answer whose client does not read it, the kernel keeps no more than this beside what is on its way; else it
# would take megabytes for each connection, and the answers to all requests that such a client sends at once.
UNSENT_BYTES = 128 * 1024


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen. Raises Refusal if the port is taken, the commonest mistake at start."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(AttributeError, OSError):  # neither Linux nor macOS
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)  # inherited by connections
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise Refusal(
            f"cannot listen on {host} port {port} ({error.strerror}); choose another with PORT= or DANDELION_HOST="
        ) from error
    return listener
