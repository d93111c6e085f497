"""Memory that teaching takes beside what serves: an edge host has little."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPENING_MIB, EXTRACTING_MIB, TEACHING_MIB = 55, 40, 58  # measured: 45, 28, 46

_TEACH = """
import sys
import numpy as np
from pathlib import Path
from runtime.host.memory import return_free_memory, return_large_buffers, share_one_arena
from runtime.host.thread_priority import compute_in_own_threads
from runtime.image import warm_up
from runtime.teaching.backbone import Backbone
from runtime.teaching.examples import Examples
from runtime.teaching.lessons import identity_of, learn
from runtime.teaching.bundle import write_bundle
from tests.support.photos import photo

def mib(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024

share_one_arena()
return_large_buffers()
warm_up()
return_free_memory()
before = mib("VmRSS")
extractor = Backbone.open().extractor(threads=1)
opening = mib("VmHWM") - before
seen = [extractor.features_of(photo(("grass", "dandelion")[number % 2], number)) for number in range(40)]
return_free_memory()
extracting = mib("VmRSS") - before
del extractor
return_free_memory()
before = mib("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
features = np.concatenate([np.stack([one.features for one in seen])] * 10)
features = features + np.random.default_rng(1).integers(0, 400, features.shape).astype(np.uint16)
names, truth = [f"{number:064x}" for number in range(400)], np.arange(400) % 2
examples = Examples(["a", "b"], names, truth, features, np.zeros(400, np.float32))
backbone = Backbone.open()
lesson = learn(examples, backbone, on_progress=lambda *_: None)
write_bundle(lesson, backbone, Path(sys.argv[1]) / "v1", identity_of("x", None))
print(opening, extracting, mib("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process's memory")
def test_features_and_teaching_fit_beside_what_serves(tmp_path: object) -> None:
    command = [sys.executable, "-c", _TEACH, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    opening, extracting, teaching = map(float, done.stdout.split())
    assert opening < OPENING_MIB
    assert extracting < EXTRACTING_MIB
    assert teaching < TEACHING_MIB
