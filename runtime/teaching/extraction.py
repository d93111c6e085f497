"""Features of photos by the backbone, which is opened when it is needed and dropped when nobody needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple

from runtime.host.memory import return_free_memory
from runtime.host.photo_limits import PhotoLimits
from runtime.teaching.backbone import Backbone, FeatureExtractor, Seen
from runtime.teaching.views import VIEWS


class About(NamedTuple):
    """A backbone for people: its name, version and the side of its input, px."""

    name: str
    version: str
    image_size: int

    @property
    def key(self) -> str:
        """What its features are kept under: others have other views."""
        return f"{self.version} {VIEWS}"


class Extraction:
    """One backbone for all threads; its session, which takes memory, is open while somebody extracts features."""

    def __init__(self, open_backbone: Callable[[], Backbone], limits: PhotoLimits, *, threads: int) -> None:
        """`open_backbone` reads and verifies it; `limits` bound a photo."""
        self._open = open_backbone
        self._limits = limits
        self._threads = threads
        self._lock = threading.Lock()
        self._about: About | None = None
        self._extractor: FeatureExtractor | None = None

    def about(self) -> About:
        """Which backbone it is; raises BundleError."""
        with self._lock:
            if self._about is None:
                self._about = _about(self._open())
            return self._about

    def backbone(self) -> Backbone:
        """The backbone, read anew; raises BundleError."""
        return self._open()

    def see(self, photo: bytes) -> Seen:
        """The features of an encoded photo; raises ImageError and BundleError."""
        return self._opened().features_of(photo, self._limits)

    @property
    def is_open(self) -> bool:
        """Whether it holds the memory of a session."""
        return self._extractor is not None

    def release(self) -> None:
        """Give the memory back."""
        with self._lock:
            was_open, self._extractor = self._extractor is not None, None
        if was_open:
            return_free_memory()

    def _opened(self) -> FeatureExtractor:
        with self._lock:
            if self._extractor is None:
                backbone = self._open()
                self._about = _about(backbone)
                self._extractor = backbone.extractor(threads=self._threads)
            return self._extractor


def _about(backbone: Backbone) -> About:
    return About(backbone.record.name, backbone.record.version, max(backbone.spec.height, backbone.spec.width))
