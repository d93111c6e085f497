"""Models of random weights, made as `export` makes them, and the sessions that this processor can give them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from runtime.image import ImageSpec
from runtime.native.library import Library, library, load
from runtime.native.session import NativeSession, open_native

ROOT = Path(__file__).parents[3]


def write_random(file: Path, *, size: int, widths: list[int] | None = None) -> Path:
    """An INT8 model for photos of `size` px; `widths` are the channels inside its blocks, where it is a narrow one."""
    import torch

    from export.graph import ServingGraph, to_onnx
    from export.quantise import quantise
    from training.network import build

    torch.manual_seed(size)
    network = build(2, widths=widths)
    for module in network.modules():  # biases, which a network of random weights has none of
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    fp32 = to_onnx(ServingGraph(network.eval(), temperature=1.3), size)
    pixels = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    onnx.save(quantise(fp32, pixels), file)
    return file


def photos(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@cache
def libraries() -> list[Library]:
    """The kernel with VNNI and with AMX, the best last: with tiles in plain C (tiles.h) on a processor that has none.

    None on a processor without AVX-512 VNNI.
    """
    found = library()
    if found is None:
        return []
    tiles = found if found.instructions == "amx" else _with_plain_tiles()
    return [found._replace(instructions="vnni"), tiles._replace(instructions="amx")]


def _with_plain_tiles() -> Library:
    with TemporaryDirectory() as folder:
        compiled = Path(folder) / "kernel.so"
        flags = f"KERNEL_FLAGS=-include {Path(__file__).with_name('tiles.h')}"
        subprocess.run(["make", "--silent", "kernel", f"KERNEL={compiled}", flags], cwd=ROOT, check=True)
        loaded = load(compiled)
    assert loaded
    return loaded


def sessions(model: Path, size: int, *, threads: int = 1, classes: int = 2) -> list[NativeSession]:
    """One native session for each of the instructions."""
    spec = ImageSpec(height=size, width=size)
    return [open_native(model, spec, classes, each, threads=threads) for each in libraries()]
