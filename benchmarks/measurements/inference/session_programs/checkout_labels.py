"""A checkout's default bundle from JPEG bytes to label: `python checkout_labels.py FOLDER CHECKOUT THREADS`.

FOLDER holds JPEG photos, which are answered one after the other; PYTHONPATH names the checkout.
"""

import itertools
import os
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from runs import serve

try:
    from benchmarks.contenders.pipelines import bundle_pipeline
    from runtime.bundle.manifest import Bundle
except ImportError:  # where older commits have both
    from benchmarks.pipelines import bundle_pipeline
    from runtime.bundle import Bundle

folder, checkout, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
manifests = sorted(checkout.glob("runtime/**/default/*/manifest.json"))
if not manifests:
    sys.exit(f"{checkout} carries no default bundle")
pipeline = bundle_pipeline(Bundle.open(manifests[-1].parent), threads)
photos = itertools.cycle([file.read_bytes() for file in sorted(folder.iterdir())])
serve(lambda: pipeline(next(photos)))
