"""One checkpoint as two ONNX models on disk, and what they say of photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from export.graph import ServingGraph, to_onnx
from export.quantise import quantise
from runtime.bundle import FP32_MODEL, MODEL
from runtime.inference import Infers
from training.checkpoint import Checkpoint


def convert(checkpoint: Checkpoint, calibration: NDArray[np.uint8], temperature: float, folder: Path) -> None:
    """Write the INT8 model and its FP32 reference into `folder`; `calibration` holds training photos [N, H, W, 3]."""
    fp32 = to_onnx(ServingGraph(checkpoint.network(), temperature), checkpoint.image_size)
    onnx.save(fp32, folder / FP32_MODEL)
    onnx.save(quantise(fp32, calibration), folder / MODEL)


def session_probabilities(session: Infers, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities [N, C] of `pixels` [N, H, W, 3], one photo at a time, as a server sees them."""
    return np.concatenate([session.infer(np.ascontiguousarray(photo[np.newaxis])).probabilities for photo in pixels])
