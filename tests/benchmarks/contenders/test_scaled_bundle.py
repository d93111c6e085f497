from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.contenders.scaled_bundle import stand_in
from runtime.bundle.default import default_bundle
from runtime.bundle.golden_patterns import draw
from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.inference.backends import NATIVE, open_validated
from tests.support.models.bundles import write_bundle


@pytest.fixture
def original() -> Bundle:
    return Bundle.open(default_bundle())


def test_a_stand_in_is_a_whole_bundle_and_is_made_once(original: Bundle, tmp_path: Path):
    made = stand_in(original, 32, tmp_path)
    opened = Bundle.open(made)
    assert opened.manifest.labels == original.manifest.labels
    assert opened.manifest.input.height == 32
    assert opened.manifest.weights == "stand-in"
    kernel = open_validated(opened, threads=1).kernel
    assert kernel.precision == "int8"
    assert kernel.deviation == 0 or kernel.kernel not in NATIVE
    written = (made / "model.onnx").stat().st_mtime_ns
    assert stand_in(original, 32, tmp_path) == made
    assert (made / "model.onnx").stat().st_mtime_ns == written


def test_at_its_own_size_it_answers_as_the_original(original: Bundle, tmp_path: Path):
    spec = original.manifest.input
    opened = Bundle.open(stand_in(original, spec.height, tmp_path))
    pixels = draw("noise", 3, spec)[np.newaxis]
    answers = [open_validated(each, threads=1).session.infer(pixels).probabilities for each in (original, opened)]
    np.testing.assert_array_equal(*answers)
    same = {"version", "metrics", "gates", "weights", "golden", "files"}
    manifests = [msgspec.structs.asdict(each.manifest) for each in (original, opened)]
    assert {name for name in manifests[0] if manifests[0][name] != manifests[1][name]} <= same


def test_an_odd_size_is_refused(original: Bundle, tmp_path: Path):
    with pytest.raises(Refusal, match="33 px: the network takes photos of an even size"):
        stand_in(original, 33, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_with_another_input_is_refused(tmp_path: Path):
    with pytest.raises(Refusal, match=r"its input has one size only; take a bundle of `python -m export build`"):
        stand_in(Bundle.open(write_bundle(tmp_path / "v1", size=32)), 64, tmp_path)
