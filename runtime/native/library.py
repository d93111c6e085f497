"""Foreign-function interface (ctypes) to the compiled kernel: whether this host can run it, and how to call it."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.errors import Refusal
from runtime.native.layout import FASTEST, ISA, NAMES, Instructions

PREBUILT = Path(__file__).parent / "prebuilt"
SUMS = PREBUILT / "SHA256SUMS"
VARIABLE = "DANDELION_NATIVE"

log = logging.getLogger(__name__)

_int, _pointer = ctypes.c_int32, ctypes.c_void_p
LARGEST = 2**31 - 1  # of the kernel's integers


class _Record(ctypes.Structure):
    """A struct of C whose fields hold what they are given: one that does not fit raises OverflowError.

    ctypes alone would cut off the upper bits.
    """

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if isinstance(value, int) and (getattr(self, name) or 0) != value:  # an address of 0 is read as None
            raise OverflowError(f"`{name}` is {value}, which the kernel's field cannot hold")


class _Argument(ctypes.c_int32):
    """An integer for a function of the kernel; one that does not fit raises OverflowError."""

    @classmethod
    def from_param(cls, value: int) -> ctypes.c_int32:
        if not -LARGEST <= value <= LARGEST:
            raise OverflowError(f"{value} is beyond {LARGEST}, the largest of the kernel's integers")
        return cls(value)


class Step(_Record):
    """One operation of a network; the fields are those of `Step` in kernel/api.h."""

    _fields_ = [
        *((name, _int) for name in ("kind", "input", "output", "residual")),
        *((name, _int) for name in ("channels", "outputs", "k_steps", "row_stride")),
        *((name, _int) for name in ("tiles", "rows", "run", "products", "unit", "weight_bytes", "activation_bytes")),
        *((name, _int) for name in ("weight_zero", "lanes", "group_bytes")),
        *((name, _int) for name in ("nonzero_list", "list_capacity", "gathered", "chunk", "side")),
        *((name, _int) for name in ("zero_point", "scores_per_photo")),
        *((name, ctypes.c_float) for name in ("scale_own", "scale_residual", "shift")),
        *((name, _pointer) for name in ("k_offsets", "full_list", "input_offsets", "output_offsets")),
        *((name, _pointer) for name in ("weights", "bias", "scale")),
    ]


class Job(_Record):
    """One inference; the fields are those of `Job` in kernel/api.h."""

    _fields_ = [
        ("steps", _pointer),
        *((name, _int) for name in ("count", "photos", "isa", "threads")),
        ("pixels", _pointer),
        ("photo_bytes", ctypes.c_size_t),
        *((name, _pointer) for name in ("buffers", "sizes", "scores")),
    ]


class Taps(_Record):
    """Filter taps of a resize along one side; the fields are those of `Taps` in kernel/api.h."""

    _fields_ = [
        *((name, _int) for name in ("outputs", "max_taps")),
        *((name, _pointer) for name in ("first", "count", "weights")),
    ]


class _Field(ctypes.Structure):
    """What the library says of a structure, or of one of its fields: `Field` in kernel/api.h."""

    _fields_ = [("name", ctypes.c_char_p), ("offset", _int), ("size", _int)]


class Library(NamedTuple):
    """The kernel's functions, which let other Python threads run meanwhile, and the instructions to call them with."""

    instructions: Instructions
    available: tuple[Instructions, ...]  # on this processor, the fastest first
    run: Callable[..., int]
    pool_create: Callable[[int], int | None]
    pool_destroy: Callable[[int], None]
    resize: Callable[..., None]
    probabilities: Callable[..., None]

    @property
    def choices(self) -> tuple[Instructions, ...]:
        """These instructions, and those that the processor has besides and are slower."""
        if self.instructions not in self.available:
            return (self.instructions,)
        return self.available[self.available.index(self.instructions) :]

    @property
    def layout(self) -> Instructions:
        """The instructions whose layout weights and tiles have; the reference reads each, and takes one of them."""
        return "avx2" if self.instructions == "reference" else self.instructions


def address_of(array: NDArray[np.generic]) -> int:
    """Where the data of a writable, contiguous array begin; `array.ctypes.data` takes four times as long."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # an array is a buffer


@cache
def library() -> Library | None:
    """The kernel with this processor's fastest instructions; None if there is none for it, or it does not load.

    The environment's DANDELION_NATIVE names other instructions, or is `off` for a host on which the kernel fails.
    Raises Refusal for another word, and for instructions that this host does not have.
    """
    wanted = os.environ.get(VARIABLE, "auto")
    if wanted not in {"auto", "off", *NAMES}:
        raise Refusal(f"{VARIABLE} is {wanted!r}; set it to auto, off, or one of {', '.join(NAMES)}")
    if wanted == "off":
        return None
    try:
        found = _load_prebuilt()
    except OSError as error:  # damaged, of another release, or the C library is too old
        log.warning("the native kernel does not load (%s); onnxruntime computes", error)
        found = None
    if wanted == "auto":
        return found if found and found.available else None
    if found is None or wanted not in {*found.available, "reference"}:
        there = ", ".join(found.available) if found else "no kernel"
        raise Refusal(f"{VARIABLE} is {wanted}, which this host does not have; it has {there or 'none of them'}")
    return found._replace(instructions=wanted)


def _load_prebuilt() -> Library | None:
    """The library of this host's processor family; None if there is none. Raises OSError as `check_sum` and `load`."""
    file = prebuilt(platform.machine())
    if sys.platform != "linux" or sys.maxsize < LARGEST**2 or not file.exists():
        return None
    check_sum(file, SUMS)
    return load(file)


def prebuilt(machine: str) -> Path:
    """Where the library of a processor family (`uname -m`) is, if there is one."""
    return PREBUILT / f"libdandelion_kernel-{machine}.so"


def check_sum(file: Path, sums: Path) -> None:
    """Raise OSError unless `file` has the SHA-256 that `sums` gives it: a damaged library may end the process."""
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if f"{found}  {file.name}" not in sums.read_text().splitlines():
        raise OSError(f"{file.name}: its SHA-256 is {found[:8]}…, which {sums.name} does not say; run `make kernel`")


def load(file: Path) -> Library:
    """A compiled kernel, for this processor's fastest instructions: `reference` if it has none of the others.

    Raises OSError if it cannot be loaded, or lays out its structures in another way than this module.
    """
    compiled = ctypes.CDLL(str(file))
    _check_layout(compiled, file.name, (Step, Job, Taps))
    run, create, destroy = compiled.dandelion_run, compiled.dandelion_pool_create, compiled.dandelion_pool_destroy
    run.argtypes = [ctypes.POINTER(Job), _pointer]
    create.argtypes, create.restype = [_Argument], _pointer
    destroy.argtypes, destroy.restype = [_pointer], None
    resize = compiled.dandelion_resize
    resize.argtypes = [_int, _pointer, *(_Argument,) * 2, *(ctypes.POINTER(Taps),) * 2, _int, *(_pointer,) * 2]
    resize.restype = None
    probabilities = compiled.dandelion_probabilities
    probabilities.argtypes = [_pointer, *(_Argument,) * 3, _pointer, ctypes.c_float, _pointer]
    probabilities.restype = None
    available = tuple(name for names in FASTEST.values() for name in names if compiled.dandelion_has_isa(ISA[name]))
    best: Instructions = available[0] if available else "reference"
    return Library(best, available, run, create, destroy, resize, probabilities)


def _check_layout(compiled: ctypes.CDLL, name: str, structures: Iterable[type[ctypes.Structure]]) -> None:
    """Raise OSError unless the library has these structures, each field at the same offset and of the same size."""
    try:
        compiled.dandelion_fields.restype = ctypes.POINTER(_Field)
    except AttributeError:
        raise OSError(f"{name} is of another release: it does not describe its structures") from None
    theirs = _described(compiled.dandelion_fields())
    ours = {key: value for structure in structures for key, value in _layout_of(structure).items()}
    different = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if different:
        raise OSError(f"{name} is of another release: `{different[0]}` is laid out otherwise")


def _described(fields: ctypes._Pointer[_Field]) -> dict[str, tuple[int, int]]:
    described: dict[str, tuple[int, int]] = {}
    while (field := fields[len(described)]).name:
        described[field.name.decode()] = field.offset, field.size
    return described


def _layout_of(structure: type[ctypes.Structure]) -> dict[str, tuple[int, int]]:
    fields = {name: getattr(structure, name) for name, *_ in structure._fields_}
    name = structure.__name__
    layout = {f"{name}.{field}": (found.offset, found.size) for field, found in fields.items()}
    return {name: (0, ctypes.sizeof(structure)), **layout}
