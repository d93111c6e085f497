"""A bundle that is loaded, has proved itself on this CPU and is warm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.answers import ModelName
from runtime.bundle import Bundle
from runtime.inference import Inference
from runtime.kernels import open_proven, open_wider
from runtime.memory import return_free_memory


class Model:
    """Sessions of one bundle: a wide one that spreads a photo over all cores, a narrow one that keeps to one.

    A lone photo is soonest done on all cores; many are when each core serves its own.
    """

    def __init__(self, bundle: Bundle, *, threads: int, source: str, abstain: float | None = None) -> None:
        """Load and prove a verified bundle; raises BundleError. `threads` is what the wide session may use.

        `source` tells people where the bundle came from; `abstain` replaces the manifest's threshold of doubt.
        """
        self.folder = bundle.path
        self.manifest = bundle.manifest
        self.name = ModelName(bundle.manifest.name, bundle.manifest.version)
        self.source = source
        self.threshold = bundle.manifest.abstain_threshold if abstain is None else abstain
        proven = open_proven(bundle, threads=1)
        self._narrow, self.kernel = proven
        self._wide = self._narrow if threads == 1 else open_wider(bundle, proven, threads=threads)
        spec = bundle.manifest.input
        self._wide.infer(np.zeros((1, spec.height, spec.width, 3), np.uint8))  # its first inference is slow
        return_free_memory()

    def infer(self, pixels: NDArray[np.uint8], *, alone: bool) -> Inference:
        """Classify `pixels` [N, height, width, 3], on all cores where nothing else is asked for."""
        return (self._wide if alone else self._narrow).infer(pixels)
