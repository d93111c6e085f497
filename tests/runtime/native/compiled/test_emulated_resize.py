"""The resize of ARM64, under QEMU: bit for bit Pillow's."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.native.layout import ISA, Instructions
from runtime.native.library import Taps
from runtime.native.resize import resize
from tests.runtime.native.models import ROOT, library_of
from tests.support.suite.system_packages import needs

PICTURES = 120
KERNEL = ROOT / "runtime" / "native" / "kernel"


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize(("cpu", "instructions"), [("cortex-a72", "neon"), ("cortex-a76", "dotprod"), ("max", "i8mm")])
def test_arm64_resizes_as_pillow_does(cpu: str, instructions: Instructions, program: Path) -> None:
    recorder, expected = Recorder(), []
    recording = library_of("reference")._replace(resize=recorder)
    generator = np.random.default_rng(0)
    for seed in range(PICTURES):
        most = 200 if seed % 3 else 20  # narrow ones have other ways through the kernel
        width, height, *size, right, bottom = (int(side) for side in generator.integers(1, [most] * 4 + [8] * 2))
        pixels = (
            generator.integers(0, 256, (height, width, 3), np.uint8) if seed % 5 else np.full((height, width, 3), 255)
        )
        image, filled = Image.fromarray(pixels.astype(np.uint8)), (width - right / 8, height - bottom / 8)
        resize(image, (size[0], size[1]), recording, filled)
        theirs = image.resize((size[0], size[1]), Image.Resampling.BILINEAR, box=(0, 0, *filled))
        expected.append(np.asarray(theirs).reshape(-1, 3))
    command = ["qemu-aarch64", "-cpu", cpu, program, str(ISA[instructions])]
    made = subprocess.run(command, input=recorder.pictures, capture_output=True, check=True).stdout
    np.testing.assert_array_equal(np.frombuffer(made, np.uint8).reshape(-1, 4)[:, :3], np.concatenate(expected))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """resize_pictures.c and the kernel in one static program for ARM64."""
    made = tmp_path_factory.mktemp("program") / "resize_pictures"
    sources = [Path(__file__).with_name("resize_pictures.c"), *sorted(KERNEL.rglob("*.c"))]
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static", "-std=c17", "-O2"]
    subprocess.run([*command, f"-I{KERNEL}", "-o", made, *sources, "-lm", "-lpthread"], check=True)
    return made


class Recorder:
    """Stands for the kernel's function: keeps what it was to resize, as resize_pictures.c reads it."""

    def __init__(self) -> None:
        self.pictures = b""

    def __call__(self, _: int, pixels: bytes, width: int, height: int, *arguments: object) -> None:
        across, down, vertical_first = arguments[:3]
        self.pictures += np.array([width, height, vertical_first], np.int32).tobytes()
        self.pictures += _contents(across._obj) + _contents(down._obj) + pixels  # type: ignore[attr-defined]


def _contents(taps: Taps) -> bytes:
    """Sizes, first inputs, counts and weights, one behind the other."""
    arrays = ((taps.first, taps.outputs), (taps.count, taps.outputs), (taps.weights, taps.outputs * taps.max_taps))
    sizes = np.array([taps.outputs, taps.max_taps], np.int32).tobytes()
    return sizes + b"".join(ctypes.string_at(at, 4 * count) for at, count in arrays)
