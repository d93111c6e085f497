"""The same INT8 arithmetic by another kernel: weights and their zero points, all smaller by one.

A convolution adds products of (activation - zero point) and (weight - zero point), so nothing changes where a weight
and its zero point move together. But onnxruntime has a convolution kernel for zero points of 0 only, and multiplies
matrices where they are not 0: slower with VNNI, quicker with AMX, which only its matrix product knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from runtime.bundle import BundleError, ByteRange


@contextmanager
def shifted(model: Path, ranges: Sequence[ByteRange]) -> Iterator[Path]:
    """The file `model` with every INT8 value in `ranges` smaller by one, as a file in memory that ends with the block.

    onnxruntime would keep bytes as long as their session; a file it lets go. Linux only, as the flags that lead here.
    Raises BundleError where the ranges leave the file. The export keeps weights above -128, which has none below it.
    """
    content = bytearray(model.read_bytes())
    values = np.frombuffer(content, np.int8)
    for each in ranges:
        if each.offset + each.size > len(values):
            raise BundleError(f"{model}: its INT8 weights are not where the manifest says; export the bundle again")
        values[each.offset : each.offset + each.size] -= 1
    handle = os.memfd_create(model.name)
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(content)
        yield Path(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
