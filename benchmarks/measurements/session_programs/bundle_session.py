"""A bundle with the kernel that the appliance chooses here: `python bundle_session.py BUNDLE THREADS`."""

import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
from runs import serve
from runtime.bundle.manifest import Bundle
from runtime.inference.backends import open_validated

bundle, threads = Bundle.open(Path(sys.argv[1])), int(sys.argv[2])
session = open_validated(bundle, threads=threads).session
spec = bundle.manifest.input
pixels = np.random.default_rng(0).integers(0, 127, (1, spec.height, spec.width, 3)).astype(np.uint8)
serve(lambda: session.infer(pixels))
