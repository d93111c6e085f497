"""What a backbone records of its golden pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import export.backbone
from export.backbone import EXACT, _extractor, _write_golden
from runtime.inference.backends import native_kernels
from runtime.teaching.backbone import GOLDEN, Backbone
from tests.runtime.native.models import loads_prebuilt
from tests.support.models.backbones import write_backbone
from training.model.network import build


@loads_prebuilt
def test_the_native_kernel_records_feature_maps_and_their_sums(tmp_path: Path) -> None:
    backbone = Backbone.open()
    extractor = _extractor(backbone.model, backbone.spec, backbone.record.scale)
    assert extractor.kernel == native_kernels()[0]
    file = tmp_path / GOLDEN
    pictures = _write_golden(file, extractor, build(2).eval(), backbone.spec, backbone.scale)
    assert pictures == backbone.record.golden
    golden = np.load(file)
    assert np.array_equal(golden["maps"], backbone.golden_maps)
    assert np.array_equal(golden["int8"], backbone.golden)
    assert golden["fp32"].shape == golden["int8"].shape


@pytest.mark.parametrize("native", [True, False])
def test_onnxruntime_records_where_the_native_kernel_cannot(
    native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = Backbone.open(write_backbone(tmp_path / "b1"))  # a graph that the kernel does not know
    if not native:
        monkeypatch.setattr(export.backbone, "native_kernels", list)
    assert _extractor(backbone.model, backbone.spec, backbone.record.scale).kernel == EXACT
