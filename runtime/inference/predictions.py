"""Predictions and answers, as the API sends them in JSON."""

from __future__ import annotations

from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtime.bundle.manifest import Manifest


class ModelName(msgspec.Struct, frozen=True):
    """Which model answered."""

    name: str
    version: str


class Timings(msgspec.Struct, frozen=True):
    """Milliseconds: decoding and resizing, inference, and all of it with the wait for a free worker."""

    decode: float
    infer: float
    total: float


class Prediction(msgspec.Struct, frozen=True):
    """The prediction for one photo.

    `uncertain` is abstention: one of the labels, but do not rely on which. `unknown` is rejection: none of the labels;
    then `label` is None, and `confidence` that of the unknown class. `probabilities` are those of the labels; where the
    model has an unknown class, they and `unknown_probability` add up to 1, else JSON lacks that key.

    `damaged` is true of a photo of which pieces are missing: the label is about what is left of it.
    """

    label: str | None
    confidence: float
    probabilities: dict[str, float]
    uncertain: bool
    unknown: bool = False
    unknown_probability: float | msgspec.UnsetType = msgspec.UNSET
    damaged: bool = False


class Answer(Prediction, frozen=True, kw_only=True):
    """A prediction, the model that made it, and its latency."""

    model: ModelName
    timings_ms: Timings


class AnswerRule(NamedTuple):
    """How probabilities become an answer.

    `uncertain_below` and `unknown_from` are probabilities: of the best label, and of the unknown class, which is None
    if the model has none.
    """

    labels: list[str]
    uncertain_below: float
    unknown_from: float | None = None

    @classmethod
    def of(cls, manifest: Manifest, *, abstain: float | None = None) -> Self:
        """The rule of a manifest; `abstain` replaces its abstention threshold."""
        return cls(
            labels=manifest.labels,
            uncertain_below=manifest.abstain_threshold if abstain is None else abstain,
            unknown_from=manifest.unknown.threshold if manifest.unknown else None,
        )


def predict(probabilities: NDArray[np.float32], rule: AnswerRule, *, damaged: bool = False) -> Prediction:
    """The prediction from the `probabilities` of one photo: [C], or [C + 1] with the unknown class as the last."""
    values: list[float] = probabilities.tolist()
    own, last = values[: len(rule.labels)], values[-1]
    best = max(range(len(own)), key=own.__getitem__)
    unknown = rule.unknown_from is not None and last >= rule.unknown_from
    return Prediction(
        label=None if unknown else rule.labels[best],
        confidence=round(last if unknown else own[best], 4),
        probabilities={label: round(p, 4) for label, p in zip(rule.labels, own, strict=True)},
        uncertain=not unknown and own[best] < rule.uncertain_below,
        unknown=unknown,
        unknown_probability=msgspec.UNSET if rule.unknown_from is None else round(last, 4),
        damaged=damaged,
    )


def answer_from(prediction: Prediction, model: ModelName, timings_ms: Timings) -> Answer:
    """`prediction` as the answer of `model`."""
    return Answer(
        label=prediction.label,
        confidence=prediction.confidence,
        probabilities=prediction.probabilities,
        uncertain=prediction.uncertain,
        unknown=prediction.unknown,
        unknown_probability=prediction.unknown_probability,
        damaged=prediction.damaged,
        model=model,
        timings_ms=timings_ms,
    )


def milliseconds(seconds: float) -> float:
    """Seconds in ms, to the microsecond."""
    return round(seconds * 1000, 3)
