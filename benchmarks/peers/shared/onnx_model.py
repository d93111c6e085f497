"""The INT8 file in onnxruntime, with the settings that onnxruntime's own guide gives for a server."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from photo import MODEL, THREADS


class Model:
    """Pixels in, probabilities out."""

    def __init__(self) -> None:
        """Load the file and run it once."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        # https://onnxruntime.ai/docs/performance/tune-performance/threading.html: idle threads burn no CPU
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])
        height, width, colours = self._session.get_inputs()[0].shape[1:]
        self(np.zeros((1, height, width, colours), np.uint8))

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Classify uint8 [1, SIZE, SIZE, 3]."""
        return self._session.run(["probabilities"], {"pixels": pixels})[0]
