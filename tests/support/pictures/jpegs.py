"""JPEGs that Pillow does not write."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CATEGORIES = 9  # of a difference of 8-bit samples: how many bits it takes
_CODE_BITS = 4


def lossless_jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """A lossless JPEG (ITU-T T.81, annex H) of [H, W] or [H, W, 3], predicted from the sample to the left.

    Three components are red, green and blue. Each category of differences has a code of four bits.
    """
    samples = pixels.astype(np.int64).reshape(*pixels.shape[:2], -1)
    height, width, count = samples.shape
    left = np.empty_like(samples)
    left[:, 1:], left[1:, 0], left[0, 0] = samples[:, :-1], samples[:-1, 0], 128
    difference = samples - left
    category = np.ceil(np.log2(np.abs(difference) + 1)).astype(np.int64)
    value = np.where(difference < 0, difference + (1 << category) - 1, difference)
    codes = zip(category.ravel().tolist(), value.ravel().tolist(), strict=True)
    bits = "".join(f"{size:04b}" + (f"{rest:0{size}b}" if size else "") for size, rest in codes)
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    ids = b"RGB" if count == 3 else b"\x01"
    frame = bytes([8, *height.to_bytes(2, "big"), *width.to_bytes(2, "big"), count])
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xC3, frame + b"".join(bytes([each, 0x11, 0]) for each in ids)),
            _segment(
                0xC4, bytes([0, *(_CATEGORIES * (length == _CODE_BITS) for length in range(1, 17))]) + bytes(range(9))
            ),
            _segment(0xDA, bytes([count]) + b"".join(bytes([each, 0]) for each in ids) + bytes([1, 0, 0])),
            scan,
            b"\xff\xd9",
        )
    )


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
