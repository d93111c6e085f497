#!/usr/bin/env bash
# Finding: httptools gives no body of a request that offers an upgrade, even to a server that does not upgrade. A server
# may ignore the header field Upgrade (RFC 9110, 7.8), and has to read the body then: `curl --http2 --data-binary` and
# Java's HttpClient offer `Upgrade: h2c` with each first request. httptools ends the message behind its head, whatever
# the server wants, and raises HttpParserUpgrade: what follows is the caller's. h11 goes on to the body.
#
# Seen with Python 3.11: httptools 0.9.0: body b'', then HttpParserUpgrade; h11 0.16.0: body b'hello'.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet httptools==0.9.0 h11==0.16.0
"$work/venv/bin/python" - <<'EOF'
import h11
import httptools

REQUEST = (
    b"POST /photos HTTP/1.1\r\nHost: meadow\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello"
)


class Request:
    body, complete = b"", False

    def on_body(self, part):
        self.body += part

    def on_message_complete(self):
        self.complete = True


request, end = Request(), ""
try:
    httptools.HttpRequestParser(request).feed_data(REQUEST)
except httptools.HttpParserUpgrade as upgrade:
    end = f"HttpParserUpgrade({upgrade.args[0]} of {len(REQUEST)} bytes)"
connection = h11.Connection(h11.SERVER)
connection.receive_data(REQUEST)
events = [connection.next_event() for _ in range(3)]
other = b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))
print(f"httptools: body {request.body!r}, complete {request.complete}, then {end}; h11: body {other!r}")
assert (request.body, request.complete, other) == (b"", True, b"hello")
assert end == f"HttpParserUpgrade({len(REQUEST) - 5} of {len(REQUEST)} bytes)"
EOF
