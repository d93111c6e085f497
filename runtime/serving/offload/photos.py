"""Heavy photos: measured and decoded in child processes, or in the calling thread if there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from runtime.bundle.input import ImageSpec
from runtime.host.photo_limits import PhotoLimits
from runtime.image import (
    CorruptImage,
    DecodedPhoto,
    ImageError,
    ImageTooLarge,
    UnsupportedImage,
    check_limits,
    decode_photo,
    decoding_memory,
    inspect,
)
from runtime.image.limits import check_cost
from runtime.serving.offload.pool import ChildPool
from runtime.serving.offload.process import Child
from runtime.serving.scheduling.decoding_work import Work, request_work, together, work_of

_ERRORS: Mapping[str, type[ImageError]] = {
    error.__name__: error for error in (CorruptImage, ImageTooLarge, UnsupportedImage, ImageError)
}


class DecodingOrder(msgspec.Struct, frozen=True):
    """How to decode a photo."""

    spec: ImageSpec
    limits: PhotoLimits


class Pixels(msgspec.Struct, frozen=True, tag=True):
    """A decoded photo; its sides are those that were ordered."""

    data: bytes
    damaged: bool


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A photo that cannot be classified: the error's name, and what it was made of."""

    error: str
    sentence: str
    code: str
    values: dict[str, str | float]


class MeasuringOrder(msgspec.Struct, frozen=True):
    """Photos of so many bytes each, one after the other, to be measured for a model's input of `side` px."""

    sizes: list[int]
    side: int
    limits: PhotoLimits


class Measured(msgspec.Struct, frozen=True):
    """`Work`, as it is sent."""

    cost: float
    may_wait: bool
    refused: Refused | None


def decode_in_child(data: bytes, args: DecodingOrder) -> Pixels | Refused:
    """Decode one encoded photo, as `decode_photo` does."""
    try:
        decoded = decode_photo(data, args.spec, limits=args.limits)
    except ImageError as error:
        return _refused(error)
    return Pixels(decoded.pixels.tobytes(), decoded.damaged)


def measure_in_child(data: bytes, args: MeasuringOrder) -> list[Measured]:
    """The work of each photo."""
    works = [work_of(photo, args.side, args.limits) for photo in _split(data, args.sizes)]
    return [Measured(work.cost, work.may_wait, _refused(work.refusal) if work.refusal else None) for work in works]


class HeavyPhotos:
    """Measures and decodes photos for threads of the heavy lane."""

    def __init__(self, children: ChildPool, limits: PhotoLimits) -> None:
        """`limits` bound one photo."""
        self._children = children
        self._limits = limits

    def decode(self, data: bytes, spec: ImageSpec) -> DecodedPhoto:
        """As `decode_photo`; raises ChildDied, too."""
        with self._children.lease() as child:
            if child is None:
                return decode_photo(data, spec, limits=self._limits)
            return self._decode_by(child, data, spec)

    def measure(self, photos: Sequence[bytes], side: int) -> list[Work]:
        """As `request_work`; raises ChildDied, too."""
        with self._children.lease() as child:
            if child is None:
                return request_work(photos, side, self._limits)
            order = MeasuringOrder([len(photo) for photo in photos], side, self._limits)
            measured = child.call(measure_in_child, b"".join(photos), order)
        return together(
            [Work(one.cost, one.may_wait, _error(one.refused) if one.refused else None) for one in measured]
        )

    def _decode_by(self, child: Child, data: bytes, spec: ImageSpec) -> DecodedPhoto:
        """Waits for memory here: what all children take counts together. The encoded photo is there twice."""
        needed = check_cost(check_limits(inspect(data), self._limits), spec, self._limits) + len(data)
        with decoding_memory.take(needed, self._limits.decoding_bytes):
            outcome = child.call(decode_in_child, data, DecodingOrder(spec, self._limits))
        if isinstance(outcome, Refused):
            raise _error(outcome)
        pixels = np.frombuffer(outcome.data, np.uint8).reshape(spec.height, spec.width, 3)
        return DecodedPhoto(pixels, outcome.damaged)


def _refused(error: ImageError) -> Refused:
    return Refused(type(error).__name__, str(error), error.code, dict(error.values))


def _error(refused: Refused) -> ImageError:
    return _ERRORS[refused.error](refused.sentence, refused.code, refused.values)


def _split(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
