"""Example photos of the classes, as thumbnails, from the data store that the training fills; cached in memory."""

from __future__ import annotations

import base64
import io
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from PIL import Image

from runtime.host.photo_limits import PhotoLimits
from runtime.image import ImageError, preview
from runtime.store import Store, StoreError
from runtime.store.data_trees import data_tree

TREES = ("processed", "raw")  # of the data store, each with one folder per class
SIDE = 160  # px of a thumbnail, at most
QUALITY = 80
MOST = 60  # thumbnails in all, some 6 KB each
PER_CLASS = 3
TRIED = 3  # files that are looked at for each thumbnail: some may be broken, or no photos
MAX_PHOTO_BYTES = 20 * 2**20
KEPT_S = 600.0  # photos are added seldom
AGAIN_S = 30.0  # while the store is away

log = logging.getLogger(__name__)

Thumbnails = Mapping[str, Sequence[str]]


class _Found(NamedTuple):
    asked: tuple[str, tuple[str, ...]]
    thumbnails: Thumbnails
    until: float


class Examples:
    """Not thread-safe: its caller asks once at a time."""

    def __init__(self, store: Store, limits: PhotoLimits) -> None:
        """`limits` bound the decoding of a photo."""
        self._store = store
        self._limits = limits
        self._found = _Found(("", ()), {}, 0.0)

    def of(self, product: str, labels: Sequence[str]) -> Thumbnails:
        """JPEG thumbnails as data URIs by label of a product; one without photos is missing. Blocks on the store."""
        asked = product, tuple(labels)
        if self._found.asked != asked or time.monotonic() >= self._found.until:
            self._found = self._find(*asked)
        return self._found.thumbnails

    def _find(self, product: str, labels: tuple[str, ...]) -> _Found:
        asked, folders = (product, labels), [data_tree(product, name) for name in TREES]
        each = min(PER_CLASS, MOST // len(labels[:MOST]))
        try:
            found = {label: self._of_class(folders, label, each) for label in labels[:MOST]}
        except StoreError as error:
            log.info("%s; no example photos until it answers", error)
            return _Found(asked, {}, time.monotonic() + AGAIN_S)
        return _Found(asked, {label: some for label, some in found.items() if some}, time.monotonic() + KEPT_S)

    def _of_class(self, folders: Sequence[str], label: str, count: int) -> list[str]:
        for folder in folders:
            keys = [entry.key for entry in islice(self._store.list(f"{folder}/{label}/"), TRIED * count)]
            if found := list(islice(self._thumbnails(keys), count)):
                return found
        return []

    def _thumbnails(self, keys: Sequence[str]) -> Iterator[str]:
        for key in keys:
            try:
                data, _ = self._store.read(key, max_bytes=MAX_PHOTO_BYTES)
                pixels = preview(data, SIDE, limits=self._limits)
            except (ImageError, StoreError) as error:
                if isinstance(error, StoreError) and error.retryable:
                    raise
                continue
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY)
            yield "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
