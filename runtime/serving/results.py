"""Results of the inference engine: what a request gets beside the answer, and how long each stage took."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtime.image import ImageError
from runtime.inference.interface import Inference
from runtime.inference.predictions import Answer, ModelName, Prediction
from runtime.serving.loaded_model import LoadedModel


class Explained(NamedTuple):
    """An answer, the model that gave it, and its class-activation maps [C, h, w] float32, in logits."""

    model: LoadedModel
    answer: Answer
    activation_map: NDArray[np.float32]


class BatchResult(NamedTuple):
    """The predictions of one model for the photos of one request, and the seconds of each stage."""

    model: ModelName
    answers: list[Prediction | ImageError]
    decode_s: float
    infer_s: float


class TimedInference(NamedTuple):
    """What the model says of a batch, the seconds that it waited for a worker, and those of the inference."""

    inference: Inference
    predictions: list[Prediction]
    queue_s: float
    infer_s: float
