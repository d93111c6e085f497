"""The same INT8 arithmetic by another kernel: weights and their zero points, all smaller by one.

A convolution adds products of (activation - zero point) and (weight - zero point), so nothing changes where a weight
and its zero point move together. But onnxruntime has a convolution kernel for zero points of 0 only, and multiplies
matrices where they are not 0: slower with VNNI, a quarter faster with AMX, which only its matrix product knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtime.bundle import BundleError, ByteRange


def shifted(model: Path, ranges: Sequence[ByteRange]) -> bytes:
    """The file `model` with every INT8 value in `ranges` smaller by one; raises BundleError where they leave it.

    The export keeps weights above -128, the only value that has none below it.
    """
    content = bytearray(model.read_bytes())
    values = np.frombuffer(content, np.int8)
    for each in ranges:
        if each.offset + each.size > len(values):
            raise BundleError(f"{model}: its INT8 weights are not where the manifest says; export the bundle again")
        values[each.offset : each.offset + each.size] -= 1
    return bytes(content)
