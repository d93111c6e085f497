"""Whole answers: head and body of a short answer in one call, where uvicorn's `send` would be called twice.

It looks through each header with four regular expressions, and makes a message, a coroutine and a write for each half.
"""

from __future__ import annotations

from collections.abc import Iterable

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from runtime.asgi import Send
from runtime.serving.http.transport import CoalescingTransport


def send_whole(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
    """Send the same bytes as `send` would for a `http.response.start` and the only `http.response.body`.

    False, with nothing sent, if `send` is not uvicorn's own, or has more to do: to wait, to close the connection, to
    write a log. The caller vouches for `headers`: names in lower case, no line ends, and the length of `body`.
    """
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle):
        return False
    transport = cycle.transport
    if not isinstance(transport, CoalescingTransport) or cycle.flow.write_paused or not cycle.keep_alive:
        return False
    if cycle.more_body or cycle.disconnected or cycle.response_started or cycle.access_log:
        return False
    if cycle.scope["method"] == "HEAD":
        return False
    cycle.response_started, cycle.waiting_for_100_continue = True, False
    lines = [b"%s: %s\r\n" % header for header in (*cycle.default_headers, *headers)]
    transport.send(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.on_response()
    return True
