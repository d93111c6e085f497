"""From probabilities to an answer: sure, uncertain, or unknown."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from runtime.inference.predictions import AnswerRule, ModelName, Prediction, Timings, answer_from, predict

LABELS = ["dandelion", "grass"]
CLOSED = AnswerRule(LABELS, uncertain_below=0.8)
OPEN = AnswerRule(LABELS, uncertain_below=0.8, unknown_from=0.25)


def told(rule: AnswerRule, *probabilities: float) -> Prediction:
    return predict(np.array(probabilities, np.float32), rule)


@pytest.mark.parametrize(
    ("probabilities", "label", "confidence", "uncertain", "unknown"),
    [
        ((0.9, 0.05, 0.05), "dandelion", 0.9, False, False),
        ((0.05, 0.7, 0.2), "grass", 0.7, True, False),
        ((0.375, 0.375, 0.25), None, 0.25, False, True),  # at the threshold; its own probability is not the largest
        ((0.74, 0.0, 0.26), None, 0.26, False, True),
        ((0.0, 0.0, 1.0), None, 1.0, False, True),
    ],
)
def test_a_photo_is_unknown_from_the_threshold_on_and_else_the_best_label(
    probabilities: tuple[float, ...], label: str | None, confidence: float, uncertain: bool, unknown: bool
):
    found = told(OPEN, *probabilities)
    assert (found.label, found.uncertain, found.unknown) == (label, uncertain, unknown)
    assert found.confidence == pytest.approx(confidence)
    assert found.probabilities == pytest.approx(dict(zip(LABELS, probabilities, strict=False)))
    assert found.unknown_probability == pytest.approx(probabilities[2])


def test_without_the_unknown_class_the_answer_is_as_ever_and_never_unknown():
    found = told(CLOSED, 0.3, 0.7)
    assert msgspec.json.encode(found) == (
        b'{"label":"grass","confidence":0.7,"probabilities":{"dandelion":0.3,"grass":0.7},"uncertain":true,'
        b'"unknown":false,"damaged":false}'
    )


def test_the_json_of_an_unknown_photo_has_no_label_and_the_probability_of_that():
    found = answer_from(told(OPEN, 0.25, 0.125, 0.625), ModelName("m", "v1"), Timings(1.0, 2.0, 3.0))
    assert msgspec.json.decode(msgspec.json.encode(found)) == {
        "label": None,
        "confidence": 0.625,
        "probabilities": {"dandelion": 0.25, "grass": 0.125},
        "uncertain": False,
        "unknown": True,
        "unknown_probability": 0.625,
        "damaged": False,
        "model": {"name": "m", "version": "v1"},
        "timings_ms": {"decode": 1.0, "infer": 2.0, "total": 3.0},
    }


def test_an_answer_says_all_that_its_prediction_does():
    prediction = predict(np.array([0.5, 0.25, 0.25], np.float32), OPEN, damaged=True)
    answer = answer_from(prediction, ModelName("m", "v1"), Timings(1.0, 2.0, 3.0))
    assert {field: getattr(answer, field) for field in Prediction.__struct_fields__} == msgspec.structs.asdict(
        prediction
    )
