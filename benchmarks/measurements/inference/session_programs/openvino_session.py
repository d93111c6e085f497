"""A model file in OpenVINO: `python openvino_session.py MODEL THREADS`; batch 1, tuned for latency."""

import sys

import numpy as np
import openvino as ov
from runs import serve

model, threads = sys.argv[1], int(sys.argv[2])
core = ov.Core()
read = core.read_model(model)
read.reshape([1, *(side.get_length() for side in list(read.inputs[0].partial_shape)[1:])])
settings = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
request = core.compile_model(read, "CPU", settings).create_infer_request()
pixels = np.random.default_rng(0).integers(0, 256, read.inputs[0].shape, dtype=np.uint8)
serve(lambda: request.infer([pixels]))
