"""Photos of doubtful answers, uncertain or unknown, for whoever keeps them with the operator's consent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from runtime.image import ImageError
from runtime.inference.predictions import ModelName, Prediction

Keep = Callable[[bytes, Prediction, ModelName], None]


class DoubtfulPhotos:
    """Hands photos on once their answers have left; does nothing as long as `keep` is None. For the event loop only."""

    keep: Keep | None = None

    def offer(
        self, photos: Sequence[bytes], answers: Sequence[Prediction | ImageError], model: ModelName, *, measured: bool
    ) -> None:
        """Hand on those of `photos` that were answered with doubt; `answers` has one for each.

        Those that are `measured` are not handed on: they show nothing of what is photographed here.
        """
        if self.keep is None or measured:
            return
        loop = asyncio.get_running_loop()
        for photo, answer in zip(photos, answers, strict=True):
            if isinstance(answer, Prediction) and (answer.uncertain or answer.unknown):
                loop.call_soon(self.keep, photo, answer, model)
