"""A bundle in the appliance's own session: `python bundle_session.py BUNDLE KERNEL THREADS`.

KERNEL is a name of `GET /model`. It ends with the reason if that does not compute the bundle, or computes it wrongly.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
from runs import serve
from runtime.bundle.manifest import Bundle
from runtime.inference.backends import open_validated

bundle, wanted, threads = Bundle.open(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
session, kernel = open_validated(bundle, threads=threads, preferred=wanted)
if kernel.kernel != wanted:
    sys.exit(f"{wanted} does not compute {bundle.manifest.version} here, {kernel.kernel} does")
spec = bundle.manifest.input
pixels = np.random.default_rng(0).integers(0, 127, (1, spec.height, spec.width, 3)).astype(np.uint8)
serve(lambda: session.infer(pixels))
