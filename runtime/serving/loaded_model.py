"""A loaded model: inference sessions of one bundle, validated on this CPU and warmed up (no cold start)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.manifest import Bundle, BundleError
from runtime.errors import Refusal
from runtime.host.memory import return_free_memory
from runtime.inference.backends import open_pair
from runtime.inference.interface import Inference
from runtime.inference.predictions import AnswerRule, ModelName


class LoadedModel:
    """Two sessions of one bundle: multi-threaded for the lowest latency, single-threaded for the highest throughput.

    A single photo is fastest on all cores. Many photos are when each core takes one of its own.
    """

    def __init__(
        self, bundle: Bundle, *, threads: int, source: str, abstain: float | None = None, preferred: str | None = None
    ) -> None:
        """Load and validate a verified bundle; raises BundleError. `threads` are those of the multi-threaded session.

        `source` tells people where the bundle came from. `abstain` replaces the manifest's abstention threshold.
        `preferred` is the kernel that was validated before, if any.
        """
        self.folder = bundle.path
        self.manifest = bundle.manifest
        self.picture = bundle.picture()
        self.name = ModelName(bundle.manifest.name, bundle.manifest.version)
        self.source = source
        self.rule = AnswerRule.of(bundle.manifest, abstain=abstain)
        (self._single_threaded, self.kernel), self._multi_threaded = open_pair(
            bundle, threads=threads, preferred=preferred
        )
        spec = bundle.manifest.input
        self.side = max(spec.height, spec.width)  # px
        self._multi_threaded.infer(np.zeros((1, spec.height, spec.width, 3), np.uint8))  # its first inference is slow
        return_free_memory()

    def infer(self, pixels: NDArray[np.uint8], *, alone: bool) -> Inference:
        """Classify `pixels` [N, height, width, 3]; `alone` takes all cores, since no other request needs them."""
        return (self._multi_threaded if alone else self._single_threaded).infer(pixels)


def load_model(
    bundle: Bundle, *, threads: int, source: str, abstain: float | None = None, preferred: str | None = None
) -> LoadedModel:
    """A LoadedModel of these arguments; whatever keeps it from loading is raised as a Refusal, mostly BundleError.

    A bundle that has passed its trial may still fail here: memory or threads are short, or onnxruntime is gone since.
    """
    try:
        return LoadedModel(bundle, threads=threads, source=source, abstain=abstain, preferred=preferred)
    except Refusal:
        raise
    except Exception as error:  # onnxruntime's own exceptions share no base class but this; memory may be short, too
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(f"{bundle.path}: cannot be loaded ({reason})") from error
