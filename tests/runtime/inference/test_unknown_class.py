"""A model with the unknown class, and one without it, in every kernel."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from runtime.bundle.default import default_bundle
from runtime.bundle.golden_patterns import PATTERNS, draw
from runtime.bundle.manifest import (
    MANIFEST,
    MODEL,
    SCHEMA_VERSION,
    Bundle,
    BundleError,
    GoldenCase,
    describe_file,
    to_json,
)
from runtime.inference import backends
from runtime.inference.backends import open_validated
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.native.layout import Instructions
from runtime.native.library import library
from tests.runtime.native.models import library_of
from tests.support.models.bundles import change_manifest


def forget_unknown(file: Path) -> None:
    """Take the output of the unknown class, the last one, from the default model."""
    model = onnx.load(default_bundle() / MODEL)
    constants = {each.name: each for each in model.graph.initializer}
    for name in ("evidence.weight", "bias"):
        values = numpy_helper.to_array(constants[name])
        constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[:-1]), name))
    for output in model.graph.output:
        output.type.tensor_type.shape.dim[1].dim_value -= 1
    del model.graph.value_info[:]
    onnx.save(model, file)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The default one, which has the unknown class."""
    return Bundle.open(shutil.copytree(default_bundle(), tmp_path / default_bundle().name))


@pytest.fixture
def plain(tmp_path: Path) -> Bundle:
    """The default one without it."""
    original = Bundle.open(default_bundle()).manifest
    folder = tmp_path / "v1"
    folder.mkdir()
    forget_unknown(folder / MODEL)
    session = OnnxruntimeSession(folder / MODEL, original.input, 2, threads=1, exact=True)
    answers = [session.infer(draw(name, 0, original.input)[np.newaxis]).probabilities[0].tolist() for name in PATTERNS]
    manifest = msgspec.structs.replace(
        original,
        schema_version=SCHEMA_VERSION,
        version="v1",
        unknown=None,
        golden=[GoldenCase(name, 0, answer, answer) for name, answer in zip(PATTERNS, answers, strict=True)],
        files={MODEL: describe_file(folder / MODEL)},
    )
    (folder / MANIFEST).write_bytes(to_json(manifest))
    return Bundle.open(folder)


@pytest.mark.parametrize("name", ["bundle", "plain"])
def test_the_fastest_kernel_of_this_processor_serves_it(name: str, request: pytest.FixtureRequest) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    found = library()
    opened = open_validated(bundle, threads=2)
    assert opened.kernel.kernel in ({found.instructions} if found else {"fast", "exact"})
    assert opened.kernel.deviation < 1e-5
    outputs = bundle.manifest.outputs
    assert outputs == {"bundle": 3, "plain": 2}[name]
    assert opened.session.infer(np.zeros((1, *_side(bundle), 3), np.uint8)).probabilities.shape == (1, outputs)


@pytest.mark.parametrize("instructions", ["sse4", "avx2", "vnni"])
def test_the_native_kernel_gives_every_output(
    bundle: Bundle, instructions: Instructions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "library", lambda: library_of(instructions))
    opened = open_validated(bundle, threads=1)
    assert opened.kernel.kernel == instructions
    pixels = np.stack([draw(name, 3, bundle.manifest.input) for name in PATTERNS])
    exact = OnnxruntimeSession(bundle.model, bundle.manifest.input, 3, threads=1, exact=True).infer(pixels)
    answer = opened.session.infer(pixels)
    assert np.abs(answer.probabilities - exact.probabilities).max() < 2e-6
    np.testing.assert_allclose(answer.activation_map, exact.activation_map, rtol=1e-4, atol=1e-4)
    assert np.ptp(answer.probabilities[:, 2]) > 0


def test_a_manifest_that_forgets_it_is_refused_by_every_kernel(bundle: Bundle) -> None:
    cases = msgspec.to_builtins(bundle.manifest.golden)
    short = [case | {key: case[key][:2] for key in ("probabilities", "int8")} for case in cases]
    change_manifest(bundle.path, schema_version=1, unknown=None, golden=short)
    with pytest.raises(BundleError, match=r"its outputs are .*the manifest says 2"):
        open_validated(Bundle.open(bundle.path), threads=1)


def _side(bundle: Bundle) -> tuple[int, int]:
    return bundle.manifest.input.height, bundle.manifest.input.width
