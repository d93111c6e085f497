from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.stand_in import stand_in
from runtime.bundle import Bundle
from runtime.kernels import open_proven

# torch's exporter's own deprecations are not ours.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore::DeprecationWarning:torch.*")


def test_a_stand_in_is_a_whole_bundle_and_is_made_once(tmp_path: Path):
    made = stand_in(32, ["a", "b", "c"], tmp_path)
    opened = Bundle.open(made)
    assert opened.manifest.labels == ["a", "b", "c"]
    assert opened.manifest.input.height == 32
    assert opened.manifest.weights == "random"
    assert open_proven(opened, threads=1).kernel.precision == "int8"
    written = (made / "model.onnx").stat().st_mtime_ns
    assert stand_in(32, ["a", "b", "c"], tmp_path) == made
    assert (made / "model.onnx").stat().st_mtime_ns == written
