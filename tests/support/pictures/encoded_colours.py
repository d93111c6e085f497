"""Photos encoded in other colour spaces, with formulas of their own: what a camera or a converter writes."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

# From sRGB's primaries to those of Rec. ITU-R BT.2020 (Report BT.2407, 2.2) and Display P3, in linear light.
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


def light_of(image: Image.Image) -> Floats:
    """Linear light, 1 for white."""
    signal = np.asarray(image.convert("RGB")) / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def srgb(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def pq(light: Floats) -> Floats:
    """White at 203 cd/m2."""
    power = (light * 203 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: Floats) -> Floats:
    """White at 203 of 1000 cd/m2."""
    shown = light * 0.203
    luminance = np.maximum(shown @ [0.2627, 0.6780, 0.0593], 1e-9)[..., np.newaxis]
    scene = shown * luminance ** (1 / 1.2 - 1)
    log = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), log)


def in_8_bits(signal: Floats) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(signal, 0, 1) * 255).astype(np.uint8))


def with_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with chunks behind its IHDR."""
    parts = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return data[:33] + b"".join(parts) + data[33:]
