"""Wrong arithmetic is found before it answers anybody; other processors are emulated by QEMU."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import FP32_MODEL, MANIFEST, MODEL, Bundle, BundleError, describe_file
from runtime.host import cores
from runtime.inference import backends
from runtime.inference.backends import Kernel, available_kernels, open_backend, open_validated
from runtime.native import library as native_library
from runtime.native.layout import Instructions
from runtime.native.library import library
from runtime.native.onnx_importer import UnknownGraphError
from runtime.serving.loaded_model import LoadedModel
from tests.runtime.native.models import claiming, library_of
from tests.support.models.bundles import change_manifest, write_bundle, write_model
from tests.support.suite.system_packages import needs

ROOT = Path(__file__).parents[3]
ONNXRUNTIMES = {"fast", "exact"}  # which of them, the processor decides: without VNNI, `fast` saturates
WRONG_ROWS = 2  # a model that looks at two rows only answers otherwise than the golden cases say


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "v1")


def replace_model(folder: Path, name: str, **options: int) -> None:
    write_model(folder / name, **options)
    files = msgspec.json.decode((folder / MANIFEST).read_bytes())["files"]
    change_manifest(folder, files=files | {name: msgspec.to_builtins(describe_file(folder / name))})


def test_right_answers_are_served_with_the_fast_kernel(folder: Path) -> None:
    kernel = open_validated(Bundle.open(folder), threads=1).kernel
    assert (kernel.precision, kernel.kernel) == ("int8", "fast")
    assert kernel.deviation < 1e-6


def test_where_int8_is_wrong_fp32_serves_and_the_log_says_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    replace_model(folder, FP32_MODEL)
    replace_model(folder, MODEL, rows=WRONG_ROWS)
    with caplog.at_level(logging.WARNING):
        model = LoadedModel(Bundle.open(folder), threads=2, source="here")
    assert (model.kernel.precision, model.kernel.kernel) == ("fp32", "fp32")
    assert re.search(r"int8 \(fast\) is off by 0\.\d+ on this CPU; int8 \(exact\).*; falling back to fp32", caplog.text)


def test_where_nothing_is_right_the_bundle_is_refused_with_the_remedy(folder: Path) -> None:
    replace_model(folder, MODEL, rows=WRONG_ROWS)
    with pytest.raises(BundleError, match=r"wrong answers.*int8 \(exact\) is off by.*export it with its FP32 model"):
        open_validated(Bundle.open(folder), threads=1)
    replace_model(folder, FP32_MODEL, rows=WRONG_ROWS)
    with pytest.raises(BundleError, match=r"fp32 \(fp32\) is off by.*export it again, or serve it on another host"):
        open_validated(Bundle.open(folder), threads=1)


def test_the_native_kernel_serves_the_default_bundle_with_the_fastest_instructions() -> None:
    found = library()
    kernel = open_validated(Bundle.open(default_bundle()), threads=1).kernel
    assert kernel.kernel in ({found.instructions} if found else ONNXRUNTIMES)
    assert kernel.deviation == 0 if found else kernel.deviation < 1e-5


def test_where_the_native_kernel_is_missing_onnxruntime_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "library", lambda: None)
    bundle = Bundle.open(default_bundle())
    assert open_validated(bundle, threads=1).kernel.kernel in ONNXRUNTIMES
    with pytest.raises(UnknownGraphError, match="this CPU has no amx"):
        open_backend(bundle, Kernel("int8", "amx"), threads=1)


def test_a_graph_that_the_native_kernel_does_not_know_is_onnxruntimes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backends, "library", lambda: claiming("vnni"))
    with caplog.at_level(logging.INFO):
        assert open_validated(Bundle.open(folder), threads=1).kernel.kernel == "fast"
    assert "v1: falling back to onnxruntime, since it does not begin with blocks of pixels" in caplog.text
    assert caplog.text.count("falling back to onnxruntime") == 1


def test_the_reference_kernel_serves_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "library", lambda: claiming("reference"))
    assert available_kernels(Bundle.open(default_bundle()))[0].kernel == "reference"


@pytest.mark.parametrize("instructions", ["sse4", "avx2", "vnni"])
def test_the_native_kernel_serves_where_its_answers_are_right(
    instructions: Instructions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "library", lambda: library_of(instructions))
    kernel = open_validated(Bundle.open(default_bundle()), threads=1).kernel
    assert kernel.kernel == instructions
    assert kernel.deviation == 0


def test_wrong_answers_of_the_native_kernel_are_never_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = claiming("vnni")._replace(run=lambda job, pool: 0)  # computes nothing
    monkeypatch.setattr(backends, "library", lambda: broken)
    with caplog.at_level(logging.WARNING):
        model = LoadedModel(Bundle.open(default_bundle()), threads=2, source="here")
    assert model.kernel.kernel in ONNXRUNTIMES
    assert re.search(r"int8 \(vnni\) is off by .*; falling back to (fast|exact)", caplog.text)


@pytest.mark.parametrize("native", [True, False])
def test_where_cores_are_unequal_the_pool_of_one_inference_keeps_to_the_fast_ones(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    if not native:
        monkeypatch.setattr(backends, "library", lambda: None)
    everywhere = os.sched_getaffinity(0)
    fast = frozenset({min(everywhere), 9_999})  # enough for two threads; the system takes those that there are
    monkeypatch.setattr(cores, "inference_cores", lambda: cores.InferenceCores(2, fast, "2 of 3 cores"))
    before = set(Path("/proc/self/task").iterdir())
    model = LoadedModel(Bundle.open(default_bundle()), threads=2, source="here")
    started = {int(task.name) for task in set(Path("/proc/self/task").iterdir()) - before}
    assert [os.sched_getaffinity(thread) for thread in started] == [{min(everywhere)}]
    assert os.sched_getaffinity(0) == everywhere
    assert model.infer(np.zeros((1, model.side, model.side, 3), np.uint8), alone=True).probabilities.shape[0] == 1


def test_no_number_is_no_right_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    found = claiming("vnni")

    def run(job: native_library.Job, pool: int | None) -> int:
        answered = found.run(job, pool)
        if next(turns) > 0:  # the first golden case is right
            (ctypes.c_float * 2).from_address(job.scores)[0] = float("nan")
        return answered

    turns = itertools.count()
    monkeypatch.setattr(backends, "library", lambda: found._replace(run=run))
    assert open_validated(Bundle.open(default_bundle()), threads=1).kernel.kernel in ONNXRUNTIMES
    assert next(turns) > 1


def test_all_kernels_give_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(default_bundle())
    spec = bundle.manifest.input
    pixels = np.random.default_rng(0).integers(0, 256, (3, spec.height, spec.width, 3), dtype=np.uint8)
    monkeypatch.setattr(backends, "library", library if library() else lambda: claiming("amx"))
    names = [
        kernel for kernel in available_kernels(bundle) if kernel.kernel not in {"fast", "fp32"}
    ]  # fast may saturate
    assert len(names) >= 2
    answers = [open_backend(bundle, kernel, threads=1).infer(pixels).probabilities for kernel in names]
    for answer in answers:
        assert np.abs(answer - answers[-1]).max() < 1e-5


def test_onnxruntime_is_not_even_loaded_where_the_native_kernel_serves() -> None:
    code = (
        "import sys; from runtime.bundle.manifest import Bundle; from runtime.bundle.default import default_bundle\n"
        "from runtime.serving.loaded_model import LoadedModel\n"
        "model = LoadedModel(Bundle.open(default_bundle()), threads=2, source='')\n"
        "print(model.kernel.kernel, 'onnxruntime' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    found = library()
    if found:
        assert told == [found.instructions, "False"]
    else:
        assert told[0] in ONNXRUNTIMES
        assert told[1] == "True"


# Haswell has AVX2 without VNNI, where onnxruntime's `fast` saturates; Nehalem has SSE4.2 only, and there onnxruntime
# rounds without FMA. The native kernel's answers are the same everywhere.
@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize(
    ("cpu", "native", "expected", "within"),
    [
        ("Haswell", "auto", "avx2", 1e-5),
        ("Nehalem", "auto", "sse4", 1e-5),
        ("Haswell", "off", "exact", 1e-3),
        ("Nehalem", "off", "fast", 0.016),
    ],
)
def test_the_default_bundle_is_right_on_processors_without_vnni(
    cpu: str, native: str, expected: str, within: float
) -> None:
    command = ["qemu-x86_64", "-cpu", cpu, sys.executable, "-m", "runtime", "check"]
    # What is set of OpenBLAS is for the host's processor: it would compute with instructions that are not emulated.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    environment["DANDELION_NATIVE"] = native
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"INT8 \((\w+) kernel\) is within (0\.\d+)", ran.stdout)
    assert found, ran.stdout
    assert found[1] == expected
    assert float(found[2]) <= within


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
    found = library()
    assert re.search(r"INT8 \((fast|exact) kernel\)", told["off"])
    assert re.search(rf"INT8 \(({found.instructions if found else 'fast|exact'}) kernel\)", told["auto"])
    assert "DANDELION_NATIVE is 'fast'; set it to auto, off, or one of reference, sse4, avx2" in told["fast"]
