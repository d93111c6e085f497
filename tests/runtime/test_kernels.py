"""Wrong arithmetic is found before it answers anybody; other processors are emulated by QEMU."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
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
from runtime.kernels import Kernel, kernels_of, open_as, open_proven
from runtime.model import Model
from runtime.native import library as native_library
from runtime.native.library import COMPILED, library
from runtime.native.network import UnknownGraphError
from tests.bundles import change_manifest, write_bundle, write_model

ROOT = Path(__file__).parents[2]
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


def test_the_native_kernel_serves_the_default_bundle_where_the_processor_has_vnni() -> None:
    found = library()
    kernel = open_proven(Bundle.open(default_bundle()), threads=1).kernel
    assert kernel.kernel == (found.instructions if found else "fast")
    assert kernel.deviation < 1e-5


def test_where_the_native_kernel_is_missing_onnxruntime_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "library", lambda: None)
    bundle = Bundle.open(default_bundle())
    assert open_proven(bundle, threads=1).kernel.kernel == "fast"
    with pytest.raises(UnknownGraphError, match="this CPU has no amx"):
        open_as(bundle, Kernel("int8", "amx"), threads=1)


def test_a_graph_that_the_native_kernel_does_not_know_is_onnxruntimes(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert open_proven(Bundle.open(folder), threads=1).kernel.kernel == "fast"
    if library():
        assert "v1: onnxruntime computes it, since it does not begin with blocks of pixels" in caplog.text
        assert caplog.text.count("onnxruntime computes it") == 1


def test_wrong_answers_of_the_native_kernel_are_never_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = library()
    if found is None:
        return
    monkeypatch.setattr(kernels, "library", lambda: found._replace(run=lambda job, crew: 0))  # computes nothing
    with caplog.at_level(logging.WARNING):
        model = Model(Bundle.open(default_bundle()), threads=2, source="here")
    assert model.kernel.kernel == "fast"
    assert re.search(rf"int8 \({found.instructions}\) is off by .*; serving with fast", caplog.text)


def test_no_number_is_no_right_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    found = library()
    if found is None:
        return

    def run(job: native_library.Job, crew: int | None) -> int:
        answered = found.run(job, crew)
        if next(turns) > 0:  # the first golden case is right
            (ctypes.c_float * 2).from_address(job.evidence)[0] = float("nan")
        return answered

    turns = itertools.count()
    monkeypatch.setattr(kernels, "library", lambda: found._replace(run=run))
    assert open_proven(Bundle.open(default_bundle()), threads=1).kernel.kernel == "fast"


def test_all_kernels_give_the_same_answers() -> None:
    bundle = Bundle.open(default_bundle())
    spec = bundle.manifest.input
    pixels = np.random.default_rng(0).integers(0, 256, (3, spec.height, spec.width, 3), dtype=np.uint8)
    names = [kernel for kernel in kernels_of(bundle) if kernel.kernel not in {"fast", "fp32"}]  # fast may saturate
    answers = [open_as(bundle, kernel, threads=1).infer(pixels).probabilities for kernel in names]
    for answer in answers:
        assert np.abs(answer - answers[-1]).max() < 1e-5


def test_onnxruntime_is_not_even_loaded_where_the_native_kernel_serves() -> None:
    code = (
        "import sys; from runtime.bundle import Bundle; from runtime.default import default_bundle\n"
        "from runtime.model import Model\n"
        "print(Model(Bundle.open(default_bundle()), threads=2, source='').kernel.kernel, 'onnxruntime' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told == ([library().instructions, "False"] if library() else ["fast", "True"])


def test_the_compiled_kernel_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    compiled = tmp_path / "kernel.so"
    subprocess.run(["make", "--silent", "kernel", f"KERNEL={compiled}"], cwd=ROOT, check=True)
    assert compiled.read_bytes() == COMPILED.read_bytes(), "run `make kernel` and commit what it makes"


def test_a_library_of_another_release_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if library() is None:
        return
    monkeypatch.setattr(native_library, "COMPILED", tmp_path / "kernel.so")
    for damage, reason in ((b"", "file too short"), (None, "was not compiled from this release's kernel.c")):
        if damage is None:
            monkeypatch.setattr(native_library, "Step", native_library.Job)
        (tmp_path / "kernel.so").write_bytes(COMPILED.read_bytes() if damage is None else damage)
        library.cache_clear()
        with caplog.at_level(logging.WARNING):
            assert library() is None
        assert reason in caplog.text
    library.cache_clear()


# Haswell has AVX2 without VNNI, whose INT8 kernel saturates; Nehalem has SSE4.2 only.
@pytest.mark.parametrize(("cpu", "expected"), [("Haswell", "exact"), ("Nehalem", "fast")])
def test_the_default_bundle_is_right_on_processors_without_vnni(cpu: str, expected: str) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("install QEMU's user emulation (Debian's package qemu-user)")
    command = [emulator, "-cpu", cpu, sys.executable, "-m", "runtime", "check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"INT8 \((\w+) kernel\) is within (0\.\d+)", ran.stdout)
    assert found, ran.stdout
    assert found[1] == expected
    assert float(found[2]) <= 1e-3


def test_the_native_kernel_can_be_switched_off() -> None:
    told = {}
    for word in ("off", "auto", "fast"):
        ran = subprocess.run(
            [sys.executable, "-m", "runtime", "check"],
            env={**os.environ, "DANDELION_NATIVE": word},
            capture_output=True,
            text=True,
        )
        told[word] = ran.stdout + ran.stderr
    assert "INT8 (fast kernel)" in told["off"] or "INT8 (exact kernel)" in told["off"]
    assert f"INT8 ({library().instructions if library() else 'fast'} kernel)" in told["auto"]
    assert told["fast"].splitlines()[-1].endswith("DANDELION_NATIVE is 'fast'; set it to auto or off")
