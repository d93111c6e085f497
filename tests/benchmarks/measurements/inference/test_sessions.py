from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime as ort
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.measurements.inference.arithmetic import macs, write_product
from benchmarks.measurements.inference.native_product import NativeProduct
from benchmarks.measurements.inference.session_goals import FP32, ONNXRUNTIME, OPENVINO
from benchmarks.measurements.inference.sessions import PROGRAMS, Contender, SessionsResult, open_session, ours
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.native.layout import Instructions
from runtime.native.library import library
from tests.runtime.native.models import every_variant, variant_of
from tests.support.models.bundles import write_bundle

ROOT = Path(__file__).parents[4] / "var" / "peers"
HAS_OPENVINO = (ROOT / "fastapi-openvino" / "made.txt").exists()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["sessions", *map(str, arguments)])


def test_sessions_are_timed_against_each_other_and_the_peak(tmp_path: Path):
    # OpenVINO takes part where `python -m benchmarks peers` or `sessions` has installed it.
    openvino = "--openvino" if HAS_OPENVINO else "--no-openvino"
    bundle = write_bundle(tmp_path / "v1")
    ran = run("--bundle", bundle, "--rounds", 2, openvino, "--environments", ROOT, "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((tmp_path / "sessions.json").read_bytes(), type=SessionsResult)
    names = {row.name for row in result.rows}
    assert result.served == "fast"  # the native kernel does not compute that bundle's graph
    assert {ours("fast"), ONNXRUNTIME, FP32} <= names
    assert any(name.endswith("our kernel") for name in names) is (library() is not None)
    assert (OPENVINO in names) is HAS_OPENVINO
    assert {row.threads for row in result.rows} == {1, result.machine.cores}
    assert all(len(row.samples_ms) == 2 and row.gmacs > 0 for row in result.rows)
    assert any(goal.what == "fraction of the INT8 peak, 1 thread" for goal in result.goals)
    assert ran.stdout.endswith(f"made {tmp_path / 'sessions.json'}\n")


def test_a_model_that_cannot_be_loaded_is_refused_with_the_reason(tmp_path: Path):
    program = [Path(sys.executable), PROGRAMS / "onnxruntime_session.py"]
    contender = Contender("onnxruntime", program, (str(tmp_path / "no"),), 1)
    with pytest.raises(Refusal, match="onnxruntime_session ended: "), open_session(contender, 1) as session:
        session(1)


def test_the_products_of_a_convolution_are_counted(tmp_path: Path):
    bundle = write_bundle(tmp_path / "v1", size=32)
    assert macs(bundle / "model.onnx") == 32 * 32 * 2 * 3  # 1 x 1, 3 channels to 2


def test_the_products_of_a_resnet18_are_those_of_the_literature():
    bundle = Bundle.open(default_bundle())
    side = bundle.manifest.input.height
    assert macs(bundle.model) == pytest.approx(1.82e9 * (side / 224) ** 2, rel=0.03)


def test_the_plain_product_is_one(tmp_path: Path):
    file = tmp_path / "product.onnx"
    assert write_product(file, 4, 8, 2) == 64
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    (product,) = session.run(None, {"a": np.ones((4, 8), np.uint8)})
    assert product.shape == (4, 2)
    assert product.dtype == np.int32


@every_variant
def test_our_kernels_product_is_one_too(variant: tuple[Instructions, Instructions]):
    generator = np.random.default_rng(0)
    left = generator.integers(0, 256, (37, 128)).astype(np.uint8)
    right = generator.integers(-127, 128, (128, 64)).astype(np.int8)
    found = variant_of(variant)
    for threads in (1, 2):
        product = NativeProduct(left, right, 1e-3, found.library, threads=threads, layout=found.layout)
        product()
        product.close()
        exact = left.astype(np.int32) @ right.astype(np.int32)
        expected = np.clip(np.rint(exact.astype(np.float32) * np.float32(1e-3)), 0, 255)
        np.testing.assert_array_equal(product.result, expected)


def test_bundle_and_size_exclude_each_other(tmp_path: Path):
    assert run("--bundle", tmp_path, "--size", 64).exit_code == 2
