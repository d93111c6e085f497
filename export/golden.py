"""Choosing the golden cases: generated pictures on which the model is least sure, since those move first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.bundle import GoldenCase
from runtime.golden import PATTERNS, draw
from runtime.image import ImageSpec
from runtime.session import Session

CANDIDATES = 16  # drawings of each pattern
KEPT = 3  # of each pattern


def record_golden(fp32: Session, int8: Session, spec: ImageSpec) -> list[GoldenCase]:
    """The golden cases of a model: for each pattern, the drawings with the least confident FP32 answers.

    `int8` must be computed exactly: what it answers is what every host is held to.
    """
    cases = []
    for pattern in PATTERNS:
        pictures = np.stack([draw(pattern, seed, spec) for seed in range(CANDIDATES)])
        probabilities = fp32.infer(pictures).probabilities
        least_sure = np.argsort(probabilities.max(axis=1), kind="stable")[:KEPT].tolist()
        for seed in least_sure:
            exact = int8.infer(pictures[seed : seed + 1]).probabilities[0]
            cases.append(GoldenCase(pattern, seed, _rounded(probabilities[seed]), _rounded(exact)))
    return cases


def _rounded(probabilities: NDArray[np.float32]) -> list[float]:
    return [round(p, 6) for p in probabilities.tolist()]
