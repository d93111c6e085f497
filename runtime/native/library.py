"""The compiled kernel: whether this host can run it, and how to call it."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from runtime.commands import Refusal

COMPILED = Path(__file__).parent / "kernel-x86_64.elf"  # as *.so it would pass for a Python module
VARIABLE = "DANDELION_NATIVE"

Instructions = Literal["amx", "vnni"]

log = logging.getLogger(__name__)

_int, _pointer = ctypes.c_int32, ctypes.c_void_p


class Step(ctypes.Structure):
    """One layer; the fields are those of `Step` in kernel.c."""

    _fields_ = [
        *((name, _int) for name in ("kind", "input", "output", "residual")),
        *((name, _int) for name in ("channels", "outputs", "steps", "distance")),
        *((name, _int) for name in ("tiles", "rows", "group_bytes", "list", "list_room")),
        *((name, _int) for name in ("zero_point", "photo_floats")),
        *((name, ctypes.c_float) for name in ("scale_own", "scale_residual", "shift")),
        *((name, _pointer) for name in ("offsets", "every", "from_", "to", "weights", "bias", "scale")),
    ]


class Job(ctypes.Structure):
    """One inference; the fields are those of `Job` in kernel.c."""

    _fields_ = [
        ("steps", _pointer),
        *((name, _int) for name in ("count", "photos", "amx", "threads")),
        ("pixels", _pointer),
        ("photo_bytes", ctypes.c_size_t),
        *((name, _pointer) for name in ("buffers", "sizes", "evidence")),
    ]


class Taps(ctypes.Structure):
    """One side of a resizing; the fields are those of `Taps` in resize.c."""

    _fields_ = [
        *((name, _int) for name in ("outputs", "most")),
        *((name, _pointer) for name in ("first", "count", "weights")),
    ]


class Library(NamedTuple):
    """The kernel's functions, which let other Python threads run meanwhile."""

    instructions: Instructions
    run: Callable[..., int]
    hire: Callable[[int], int | None]
    dismiss: Callable[[int], None]
    resize: Callable[..., None]


@cache
def library() -> Library | None:
    """The kernel with the best instructions of this processor; None where it has none, or it cannot be loaded.

    None also where the environment says DANDELION_NATIVE=off, for a host on which it fails. Raises Refusal for another
    word than `off` or `auto`.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in {"auto", "off"}:
        raise Refusal(f"{VARIABLE} is {wanted!r}; set it to auto or off")
    if wanted == "off" or sys.platform != "linux" or platform.machine() != "x86_64":
        return None
    try:
        return load(COMPILED)
    except OSError as error:  # a C library that is too old, or another one
        log.warning("the native kernel does not load (%s); onnxruntime computes", error)
        return None


def load(file: Path) -> Library | None:
    """A compiled kernel, for this processor's best instructions; None where it has none of them.

    Raises OSError where it cannot be loaded, or is of another release.
    """
    compiled = ctypes.CDLL(str(file))
    sizes = [compiled.dandelion_layout(0), compiled.dandelion_layout(1)]
    if sizes != [ctypes.sizeof(Step), ctypes.sizeof(Job)]:
        raise OSError(f"{file.name} was not compiled from this release's kernel.c")
    run, hire, dismiss = compiled.dandelion_run, compiled.dandelion_hire, compiled.dandelion_dismiss
    run.argtypes = [ctypes.POINTER(Job), _pointer]
    hire.restype = _pointer
    dismiss.argtypes, dismiss.restype = [_pointer], None
    resize = compiled.dandelion_resize
    resize.argtypes = [ctypes.c_char_p, _int, _int, *(ctypes.POINTER(Taps),) * 2, _int, _pointer, _pointer]
    resize.restype = None
    instructions: list[Instructions | None] = [None, "vnni", "amx"]  # as kernel.c numbers them
    best = instructions[compiled.dandelion_instructions()]
    return Library(best, run, hire, dismiss, resize) if best else None
