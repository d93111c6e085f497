"""A model file in onnxruntime with the appliance's own settings: `python onnxruntime_session.py MODEL THREADS`."""

import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from runs import serve
from runtime.inference.onnxruntime_session import session_options

DTYPES = {"tensor(uint8)": np.uint8, "tensor(int8)": np.int8}

model, threads = sys.argv[1], int(sys.argv[2])
session = ort.InferenceSession(model, session_options(threads), providers=["CPUExecutionProvider"])
generator = np.random.default_rng(0)
feeds = {
    node.name: generator.integers(0, 127, [side if isinstance(side, int) else 1 for side in node.shape]).astype(
        DTYPES[node.type]
    )
    for node in session.get_inputs()
}
serve(lambda: session.run(None, feeds))
