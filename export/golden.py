"""Choosing the golden cases: generated pictures on which the model is least sure, since those move first."""

from __future__ import annotations

import numpy as np

from runtime.bundle import GoldenCase
from runtime.golden import PATTERNS, draw
from runtime.image import ImageSpec
from runtime.session import Session

CANDIDATES = 16  # drawings of each pattern
KEPT = 3  # of each pattern


def record_golden(fp32: Session, spec: ImageSpec) -> list[GoldenCase]:
    """The golden cases of a model: for each pattern, the drawings with the least confident FP32 answers."""
    cases = []
    for pattern in PATTERNS:
        pictures = np.stack([draw(pattern, seed, spec) for seed in range(CANDIDATES)])
        probabilities = fp32.infer(pictures).probabilities
        least_sure = np.argsort(probabilities.max(axis=1), kind="stable")[:KEPT].tolist()
        cases += [GoldenCase(pattern, seed, [round(p, 6) for p in probabilities[seed].tolist()]) for seed in least_sure]
    return cases
