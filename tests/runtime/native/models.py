"""Test models made from the default bundle (other input sizes, widths, weights), and the kernel's variants to run them.

Nothing here needs torch but `write_random`: exporting a network takes many times what changing one does.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.image import ImageSpec
from runtime.inference.native_session import NativeSession, plan_of
from runtime.native.layout import ISA, LAYOUTS, Instructions
from runtime.native.library import Job, Library, load, prebuilt
from runtime.native.steps import Plan
from tests.support.suite.repeats import thorough_but

ROOT = Path(__file__).parents[3]
CLASSES = 3  # outputs of the default model: two labels and the unknown class
COMPILED = prebuilt(platform.machine())
HAS_PREBUILT = sys.platform == "linux" and COMPILED.exists()
loads_prebuilt = pytest.mark.skipif(not HAS_PREBUILT, reason="needs Linux on x86-64 or ARM64")


@cache
def model_of(size: int, *, widths: tuple[int, ...] = (), shuffled: bool = False) -> bytes:
    """The default INT8 model for photos of `size` px.

    `widths` are the channels that are kept inside its eight blocks. `shuffled` weights use the whole range of bytes,
    and sums that saturate.
    """
    model = onnx.load(Bundle.open(default_bundle()).model)
    constants = {each.name: each for each in model.graph.initializer}
    del model.graph.value_info[:]
    _resize(model, constants, size)
    for i, width in enumerate(widths):
        block = f"body.{i // 2}.{i % 2}."
        for name, constant in constants.items():
            if name.startswith((f"{block}conv1.", f"{block}conv2.weight_quantized")):
                values = numpy_helper.to_array(constant)
                is_second = name == f"{block}conv2.weight_quantized"
                _set(constant, values[:, :width] if is_second else values[:width] if "conv1" in name else values)
    if shuffled:
        generator = np.random.default_rng(size)
        for name, constant in constants.items():
            if name.endswith(".weight_quantized"):
                values = numpy_helper.to_array(constant)
                _set(constant, generator.permutation(values.ravel()).reshape(values.shape))
    return model.SerializeToString()


def _resize(model: onnx.ModelProto, constants: dict[str, onnx.TensorProto], size: int) -> None:
    pixels, _, scores = *model.graph.input, *model.graph.output
    for value, places in ((pixels, {1: size, 2: size}), (scores, {2: -(-size // 32), 3: -(-size // 32)})):
        for axis, side in places.items():
            value.type.tensor_type.shape.dim[axis].dim_value = side
    first, second = (node.input[1] for node in model.graph.node if node.op_type == "Reshape")
    _set(constants[first], np.array([-1, size // 2, 2, size // 2, 2, 3], np.int64))
    _set(constants[second], np.array([-1, size // 2, size // 2, 12], np.int64))


def _set(constant: onnx.TensorProto, values: np.ndarray) -> None:
    constant.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), constant.name))


def write_random(file: Path, *, size: int, widths: list[int] | None = None) -> Path:
    """An INT8 model of random weights, exported as `export` does it; `widths` are the channels inside its blocks."""
    torch = pytest.importorskip("torch", reason="needs torch")

    from export.graph.quantise import quantise
    from export.graph.serving_graph import ServingGraph, to_onnx
    from training.model.network import build

    torch.manual_seed(size)
    network = build(CLASSES, widths=widths)
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


class Variant(NamedTuple):
    """A way to compute a plan: the kernel's instructions, and those whose layout they are given."""

    library: Library
    layout: Instructions

    def session(self, content: bytes, size: int, *, threads: int = 1) -> NativeSession:
        return NativeSession(_plan(content, size, self.layout), self.library, threads=threads)


@lru_cache(maxsize=8)
def _plan(content: bytes, size: int, layout: Instructions) -> Plan:
    """The weights of a model, laid out: no session changes them."""
    return plan_of(content, ImageSpec(height=size, width=size), CLASSES, layout)


# Layouts of the shorter run: of small hosts, of servers (with lists of nonzero steps, and without), and of ARM.
every_layout = pytest.mark.parametrize("instructions", thorough_but(("avx2", "vnni", "amx", "i8mm"), LAYOUTS))

ON_X86: tuple[Instructions, ...] = ("sse4", "avx2", "avxvnni", "vnni", "amx")
ON_ARM: tuple[Instructions, ...] = ("neon", "dotprod", "i8mm")
# ARM's layouts are computed here by the reference; their own functions under emulation (test_emulated.py).
VARIANTS: dict[str, tuple[Instructions, Instructions]] = {
    **{f"reference, laid out for {name}": ("reference", name) for name in LAYOUTS},
    **{name: (name, name) for name in (ON_ARM if platform.machine() == "aarch64" else ON_X86)},
}


SHORT_OF_REFERENCE = ("avx2", "dotprod")  # the reference's layouts in the shorter run, of x86 and of ARM


def _marks(variant: tuple[Instructions, Instructions]) -> tuple[pytest.MarkDecorator, ...]:
    """What the processor may not have is compiled first: AMX's tiles in plain C."""
    instructions, layout = variant
    if instructions == "amx":
        return (pytest.mark.compiler,)
    repeats = instructions == "reference" and layout not in SHORT_OF_REFERENCE
    return (pytest.mark.thorough,) if repeats else ()


def every(variants: dict[str, tuple[Instructions, Instructions]]) -> pytest.MarkDecorator:
    """Have a test run with each of these; the shorter run has few layouts of the reference."""
    return pytest.mark.parametrize(
        "variant", [pytest.param(each, id=name, marks=_marks(each)) for name, each in variants.items()]
    )


every_variant = every(VARIANTS)
# With one layout for the reference, which is slow: for tests of what the layout does not change.
every_instruction_set = every(
    {name: variant for name, variant in VARIANTS.items() if variant[0] != "reference" or variant[1] == "avx2"}
)

# Without the reference: for tests of large networks.
every_fast_set = every({name: variant for name, variant in VARIANTS.items() if variant[0] != "reference"})


def variant_of(named: tuple[Instructions, Instructions]) -> Variant:
    """That variant of the kernel; the test is skipped if this processor does not have it."""
    instructions, layout = named
    return Variant(library_of(instructions), layout)


@cache
def library_of(instructions: Instructions) -> Library:
    """The kernel with these instructions, or what stands for AMX on a processor with AVX-512 VNNI."""
    found = _portable()
    if instructions not in {"reference", *found.available}:
        if instructions != "amx" or "vnni" not in found.available:
            pytest.skip(f"needs a processor with {instructions}")
        found = _instead_of_amx()
    return found._replace(instructions=instructions)


def claiming(instructions: Instructions) -> Library:
    """A kernel that says that it has these instructions: for tests of what chooses and falls back.

    The reference computes, many times more slowly, if this processor does not have them.
    """
    reference = library_of("reference")
    if instructions in reference.available:
        return reference._replace(instructions=instructions)

    def run(job: Job, pool: int | None) -> int:
        job.isa = ISA["reference"]
        return reference.run(job, pool)

    return reference._replace(instructions=instructions, run=run)


def build(folder: Path, *settings: str, name: str = COMPILED.name) -> Path:
    """A library that `make kernel` compiles, in another folder."""
    make(folder / name, f"PREBUILT={folder}", *settings)
    return folder / name


def make(target: str | Path, *settings: str) -> None:
    """Run make in the repository; `.venv` is left as it is."""
    subprocess.run(["make", "--silent", "--old-file=.venv/.dev", target, *settings], cwd=ROOT, check=True)


def _portable() -> Library:
    """As it is in the repository, if this host can load that; else compiled for this host."""
    try:
        return load(COMPILED)
    except OSError:
        with TemporaryDirectory() as folder:
            return load(build(Path(folder), "KERNEL_TARGET=native"))


def _instead_of_amx() -> Library:
    with TemporaryDirectory() as folder:
        return load(build(Path(folder), f"KERNEL_FLAGS=-include {Path(__file__).with_name('tiles.h')}"))
