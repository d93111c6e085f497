"""Instructions of one inference: of our kernel by run_job.c, of onnxruntime by a Python on the same processor."""

from __future__ import annotations

import hashlib
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from benchmarks.measurements.instructions.arm64 import arm64_python
from benchmarks.measurements.instructions.compiled import PLUGIN, run_job
from benchmarks.measurements.instructions.cpus import EmulatedCpu
from benchmarks.measurements.instructions.emulation import count, qemu_version
from benchmarks.measurements.instructions.job_file import JobFile
from runtime.errors import Refusal
from runtime.image import ImageSpec
from runtime.inference.native_session import plan_of

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "benchmarks" / "measurements" / "inference" / "session_programs" / "counted_onnxruntime.py"


def count_ours(cpu: EmulatedCpu, model: bytes, photos: NDArray[np.uint8], classes: int, cache: Path) -> list[int]:
    """Of each photo, what `dandelion_run` and `dandelion_probabilities` take, without Python."""
    return [int(line.split()[2]) for line in listing_of_ours(cpu, model, photos, classes, cache).splitlines()]


def listing_of_ours(
    cpu: EmulatedCpu, model: bytes, photos: NDArray[np.uint8], classes: int, cache: Path, *, show: str = ""
) -> str:
    """The same as the plugin writes it; `show` as for `count`."""
    spec = ImageSpec(height=photos.shape[1], width=photos.shape[2])
    plan = plan_of(model, spec, classes, cpu.instructions)
    written = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(len(photos)):
            job = JobFile(plan, photos[number : number + 1], cpu.instructions)
            command = [str(run_job(cpu.architecture, cache)), *job.write(Path(folder)), "counted"]
            written.append(count(cpu, command, cache, show=show)[1])
    return "".join(written)


def count_onnxruntime(
    cpu: EmulatedCpu, model: bytes, photos: NDArray[np.uint8], classes: int, cache: Path, *, exact: bool = False
) -> list[int]:
    """Of each photo, what a call of the session takes, from pixels to probabilities; counted once, then remembered.

    `exact` is the INT8 kernel that does not saturate. Raises Refusal where onnxruntime for `cpu` cannot be run here.
    """
    python, settings, path = _python_for(cpu, cache)
    parts = (cpu.name, cpu.part, cpu.features, str(python), version("onnxruntime"), qemu_version(), str(exact))
    named = hashlib.sha256("\n".join(parts).encode() + PLUGIN.read_bytes() + PROGRAM.read_bytes())
    named.update(model + photos.tobytes())
    kept = cache / "counts" / f"{cpu.name}-{named.hexdigest()[:16]}.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=list[int])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        np.save(folder / "pixels.npy", photos)
        files = [str(folder / "model.onnx"), str(folder / "pixels.npy")]
        command = [str(python), str(PROGRAM), *files, str(classes), "exact" if exact else "fast"]
        counts, _ = count(cpu, command, cache, *settings, environment={"PYTHONPATH": path})
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(msgspec.json.encode(counts))
    return counts


def _python_for(cpu: EmulatedCpu, cache: Path) -> tuple[Path, tuple[str, ...], str]:
    """A Python with onnxruntime for this processor, QEMU's settings for it, and its PYTHONPATH."""
    if cpu.architecture == "aarch64":
        found = arm64_python(cache)
        return found.python, ("-L", str(found.prefix(cpu))), f"{found.site}:{ROOT}"
    if platform.machine() != "x86_64":
        raise Refusal(f"{cpu.name}: onnxruntime for x86-64 is this machine's own, which is no x86-64; leave it out")
    return Path(sys.executable), (), str(ROOT)
