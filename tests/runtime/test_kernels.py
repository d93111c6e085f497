"""Wrong arithmetic is found before it answers anybody; other processors are emulated by QEMU."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from runtime import kernels
from runtime.bundle import FP32_MODEL, MANIFEST, MODEL, Bundle, BundleError, describe_file
from runtime.default import default_bundle
from runtime.kernels import Kernel, open_as, open_proven
from runtime.model import Model
from tests.bundles import change_manifest, write_bundle, write_model

WRONG_ROWS = 2  # a model that looks at two rows only answers otherwise than the golden cases say


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "v1")


def replace_model(folder: Path, name: str, **options: int) -> None:
    write_model(folder / name, **options)
    files = msgspec.json.decode((folder / MANIFEST).read_bytes())["files"]
    change_manifest(folder, files=files | {name: msgspec.to_builtins(describe_file(folder / name))})


def test_right_answers_are_served_with_the_fast_kernel(folder: Path) -> None:
    kernel = open_proven(Bundle.open(folder), threads=1).kernel
    assert (kernel.precision, kernel.kernel) == ("int8", "fast")
    assert kernel.deviation < 1e-6


def test_where_int8_is_wrong_fp32_serves_and_the_log_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    replace_model(folder, FP32_MODEL)
    replace_model(folder, MODEL, rows=WRONG_ROWS)
    with caplog.at_level(logging.WARNING):
        model = Model(Bundle.open(folder), threads=2, source="here")
    assert (model.kernel.precision, model.kernel.kernel) == ("fp32", "fp32")
    assert re.search(r"int8 \(fast\) is off by 0\.\d+ on this CPU; int8 \(exact\).*; serving with fp32", caplog.text)


def test_where_nothing_is_right_the_bundle_is_refused_with_the_remedy(folder: Path) -> None:
    replace_model(folder, MODEL, rows=WRONG_ROWS)
    with pytest.raises(BundleError, match=r"wrong answers.*int8 \(exact\) is off by.*export it with its FP32 model"):
        open_proven(Bundle.open(folder), threads=1)
    replace_model(folder, FP32_MODEL, rows=WRONG_ROWS)
    with pytest.raises(BundleError, match=r"fp32 \(fp32\) is off by.*use a CPU with VNNI"):
        open_proven(Bundle.open(folder), threads=1)


def choice(monkeypatch: pytest.MonkeyPatch, flags: set[str], fast_s: float, matrix_s: float) -> str:
    monkeypatch.setattr(kernels, "cpu_flags", lambda: frozenset(flags))
    monkeypatch.setattr(kernels, "_times", lambda *_: [fast_s, matrix_s])
    return open_proven(Bundle.open(default_bundle()), threads=1).kernel.kernel


def test_the_matrix_kernel_serves_where_a_processor_with_amx_is_quicker_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choice(monkeypatch, {"amx_int8"}, 4.0, 3.0) == "matrix"
    assert choice(monkeypatch, {"amx_int8"}, 4.0, 3.9) == "fast"
    assert choice(monkeypatch, {"avx512_vnni"}, 4.0, 3.0) == "fast"


def test_the_matrix_kernel_gives_the_same_answers_in_any_batch() -> None:
    opened = Bundle.open(default_bundle())
    spec = opened.manifest.input
    pixels = np.random.default_rng(0).integers(0, 256, (3, spec.height, spec.width, 3), dtype=np.uint8)
    fast, matrix = (open_as(opened, Kernel("int8", name, 0.0), threads=1) for name in ("fast", "matrix"))
    assert np.abs(fast.infer(pixels).probabilities - matrix.infer(pixels).probabilities).max() < 1e-5


def test_weights_that_are_not_where_the_manifest_says_are_refused(folder: Path) -> None:
    size = (folder / MODEL).stat().st_size
    change_manifest(folder, int8_weights=[{"offset": size - 1, "size": 2}])
    with pytest.raises(BundleError, match=r"model\.onnx: its INT8 weights are not where the manifest says"):
        open_as(Bundle.open(folder), Kernel("int8", "matrix", 0.0), threads=1)


def test_wrong_answers_of_the_matrix_kernel_are_never_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "cpu_flags", lambda: frozenset({"amx_int8"}))
    content = (folder / MODEL).read_bytes()
    weight = np.array(0.04, np.float32).tobytes()
    change_manifest(folder, int8_weights=[{"offset": content.index(weight) + 3, "size": 1}])  # its exponent
    monkeypatch.setattr(kernels, "_times", lambda *_: [4.0, 1.0])
    assert open_proven(Bundle.open(folder), threads=1).kernel.kernel == "fast"


# Haswell has AVX2 without VNNI, whose INT8 kernel saturates; Nehalem has SSE4.2 only.
# The emulated process reads the flags of the real processor: where that has AMX, the matrix kernel is tried, too.
@pytest.mark.parametrize(("cpu", "expected"), [("Haswell", {"exact"}), ("Nehalem", {"fast", "matrix"})])
def test_the_default_bundle_is_right_on_processors_without_vnni(cpu: str, expected: set[str]) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("install QEMU's user emulation (Debian's package qemu-user)")
    command = [emulator, "-cpu", cpu, sys.executable, "-m", "runtime", "check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"INT8 \((\w+) kernel\) is within (0\.\d+)", ran.stdout)
    assert found, ran.stdout
    assert found[1] in expected
    assert float(found[2]) <= 1e-3
