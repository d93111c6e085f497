"""Wrong arithmetic is found before it answers anybody; other processors are emulated by QEMU."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from runtime.bundle import FP32_MODEL, MANIFEST, MODEL, Bundle, BundleError, describe_file
from runtime.kernels import open_proven
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
    assert float(found[2]) <= 0.1
