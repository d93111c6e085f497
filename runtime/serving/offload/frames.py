"""Frames on the pipes between the appliance and a child process: a head and a body, each with its length."""

from __future__ import annotations

import fcntl
import struct
import sys
from contextlib import suppress
from typing import IO, NamedTuple

import msgspec

_LENGTHS = struct.Struct("<IQ")
_PIPE_BYTES = 1 << 20  # what Linux lets any user ask for; with 64 KiB, 20 MB take three hundred wake-ups
_HEAD_BYTES = 1 << 20  # a longer head is none: something else was printed into the pipe
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of <linux/fcntl.h>


class Call(msgspec.Struct, frozen=True):
    """The head of a request: a module-level function by name, and its `args`; the body is its `data`."""

    module: str
    name: str
    args: msgspec.Raw


class Reply(msgspec.Struct, frozen=True):
    """The head of an answer: the body is what the function returned, or the stack of what it raised."""

    failed: bool = False


class Frame(NamedTuple):
    """What came."""

    head: bytes
    body: bytes


def write_frame(pipe: IO[bytes], head: bytes, body: bytes) -> None:
    """Write one; raises OSError if the other side has ended."""
    pipe.write(_LENGTHS.pack(len(head), len(body)))
    pipe.write(head)
    pipe.write(body)
    pipe.flush()


def read_frame(pipe: IO[bytes]) -> Frame | None:
    """Read one; None if the other side has ended, or sent what is no frame."""
    lengths = pipe.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    head_bytes, body_bytes = _LENGTHS.unpack(lengths)
    if head_bytes > _HEAD_BYTES:
        return None
    head, body = pipe.read(head_bytes), pipe.read(body_bytes)
    return Frame(head, body) if len(head) == head_bytes and len(body) == body_bytes else None


def widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, if the system allows it."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, _SET_PIPE_SIZE, _PIPE_BYTES)
