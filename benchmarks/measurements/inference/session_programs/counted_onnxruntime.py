"""onnxruntime as the appliance runs it, its instructions marked: `counted_onnxruntime.py MODEL PIXELS CLASSES exact`.

PIXELS is a .npy file [N, height, width, 3] uint8. Each photo is one inference on one thread between two marks, by the
system call that count_instructions.c looks for; one inference before them all makes what is made once. `exact` is the
kernel that does not saturate; any other word is the fast one.
"""

import ctypes
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
from runtime.bundle.input import ImageSpec
from runtime.inference.onnxruntime_session import OnnxruntimeSession

MARK = 9999

model, pixels, classes, kernel = sys.argv[1:]
photos = np.load(pixels)
spec = ImageSpec(height=photos.shape[1], width=photos.shape[2])
session = OnnxruntimeSession(Path(model), spec, int(classes), threads=1, exact=kernel == "exact")
mark = ctypes.CDLL(None).syscall
mark.argtypes = [ctypes.c_long, ctypes.c_long]
session.infer(photos[:1])
for number in range(len(photos)):
    photo = photos[number : number + 1]
    mark(MARK, 0)
    session.infer(photo)
    mark(MARK, number + 1)
