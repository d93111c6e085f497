"""Answers from inferences: what the model says of each photo, counted in the metrics, doubtful ones handed on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.image import DecodedPhoto
from runtime.image.distributions import brightness_of
from runtime.inference.interface import Inference
from runtime.inference.predictions import Answer, Prediction, Timings, answer_from, milliseconds, predict
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.doubtful import DoubtfulPhotos
from runtime.serving.monitoring.metrics import Metrics


class Inferred(NamedTuple):
    """The inference of one photo, the seconds of its stages, and the time (s) when it was done."""

    model: LoadedModel
    inference: Inference
    photo: DecodedPhoto
    decode_s: float
    infer_s: float
    done: float
    brightness: float | None = None  # as `brightness_of` has it, if it was measured for the whole batch


class CountedAnswers:
    """Makes answers and counts them; `measured` as in `Metrics.count`."""

    def __init__(self, metrics: Metrics, doubtful: DoubtfulPhotos) -> None:
        """Count in `metrics`, and offer photos to `doubtful`."""
        self._metrics = metrics
        self._doubtful = doubtful

    def of_photo(self, photo: bytes, inferred: Inferred, arrived: float, *, measured: bool) -> Answer:
        """The answer for one encoded photo, whose request arrived then (s); for the event loop only."""
        model = inferred.model
        probabilities, damaged = inferred.inference.probabilities, inferred.photo.damaged
        prediction = predict(probabilities, model.rule, damaged=damaged)
        now = time.perf_counter()
        stages = {
            # For a worker, and for the rest of the batch.
            "queue": inferred.done - arrived - inferred.decode_s - inferred.infer_s,
            "decode": inferred.decode_s,
            "infer": inferred.infer_s,
            "total": now - arrived,
        }
        # After the answer has left.
        asyncio.get_running_loop().call_soon(self._count, prediction, inferred, stages, measured)
        self._doubtful.offer([photo], [prediction], model.name, measured=measured)
        timings = Timings(*map(milliseconds, (inferred.decode_s, inferred.infer_s, stages["total"])))
        return answer_from(prediction, model.name, timings)

    def of_batch(
        self,
        model: LoadedModel,
        pixels: NDArray[np.uint8],
        inference: Inference,
        total_s: float,
        damaged: Sequence[bool],
        *,
        measured: bool,
    ) -> list[Prediction]:
        """Predict and count each photo of `pixels` [N, height, width, 3], a batch that took `total_s`."""
        predictions = [
            predict(row, model.rule, damaged=broken)
            for row, broken in zip(inference.probabilities, damaged, strict=True)
        ]
        for prediction, brightness in zip(predictions, brightness_of(pixels), strict=True):
            self._metrics.count(prediction, brightness, {"total": total_s}, measured=measured)
        return predictions

    def _count(self, prediction: Prediction, inferred: Inferred, stages: Mapping[str, float], measured: bool) -> None:
        brightness = inferred.brightness
        if brightness is None:
            brightness = brightness_of(inferred.photo.pixels[np.newaxis])[0]
        self._metrics.count(prediction, brightness, stages, measured=measured)
