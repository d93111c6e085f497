"""A child process for heavy work, `python -m runtime.serving.offload.child PARENT`: one function call after the other.

It ends with the appliance (process PARENT), or when that closes its standard input.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import IO

import msgspec

from runtime.host.child_process import die_first, end_with_parent
from runtime.host.memory import return_large_buffers
from runtime.serving.offload.frames import Call, Reply, read_frame, write_frame
from runtime.serving.offload.signature import signature_of

LOWEST = 19  # niceness: of a busy core, a sixtieth


def main() -> None:
    """Serve calls until the end of standard input."""
    end_with_parent(int(sys.argv[1]))
    die_first()
    os.nice(LOWEST)
    return_large_buffers()
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a library that prints must not print into an answer
        write_frame(answers, b"", b"")  # it ends with its parent, even if it is stopped
        importlib.import_module("runtime.serving.offload.photos")  # meanwhile the first photo is on its way
        _serve(sys.stdin.buffer, answers)


def _serve(calls: IO[bytes], answers: IO[bytes]) -> None:
    write_frame(answers, b"", b"")  # ready
    while frame := read_frame(calls):
        reply, body = _perform(frame.head, frame.body)
        del frame  # an idle process must not keep a photo
        write_frame(answers, msgspec.msgpack.encode(reply), body)
        del body


def _perform(head: bytes, data: bytes) -> tuple[Reply, bytes]:
    try:
        call = msgspec.msgpack.decode(head, type=Call)
        function = getattr(importlib.import_module(call.module), call.name)
        args = msgspec.msgpack.decode(call.args, type=signature_of(function).args)
        return Reply(), msgspec.msgpack.encode(function(data, args))
    except Exception:
        return Reply(failed=True), traceback.format_exc().encode()


if __name__ == "__main__":
    main()
