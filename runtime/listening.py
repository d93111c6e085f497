"""Take a port, or say why not."""

from __future__ import annotations

import socket

from runtime.commands import Refusal


def listen(host: str, port: int) -> socket.socket:
    """Take the port before anything is loaded: a busy one is the commonest mistake. Raises Refusal."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise Refusal(
            f"cannot listen on {host} port {port} ({error.strerror}); choose another with PORT= or DANDELION_HOST="
        ) from error
    return listener
