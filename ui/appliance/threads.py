"""Inference latency by number of threads, in a subprocess: `python -m ui.appliance.threads FOLDER`.

The sessions that it opens would stay in the memory of a server; a process gives all of it back.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from runtime.bundle.manifest import Bundle
from runtime.host.cores import inference_cores
from runtime.host.cpu import available_cpus
from runtime.inference.backends import open_backend, open_validated

WARM_UP, TIMES = 3, 25
TIMEOUT_S = 60.0


class ByThreads(msgspec.Struct, frozen=True):
    """The median of one inference with so many threads."""

    threads: int
    infer_ms: float


async def by_threads(folder: Path) -> list[ByThreads]:
    """Measure the bundle in `folder` on this host; empty if that fails or takes longer than TIMEOUT_S."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ui.appliance.threads", str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError) as error:
        process.kill()
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise
        return []
    return msgspec.json.decode(said, type=list[ByThreads]) if process.returncode == 0 else []


def counts(cores: int, usual: int) -> list[int]:
    """1, 2, 4 and so on, and all; and what the appliance takes by itself."""
    return sorted({*(2**power for power in range(cores.bit_length()) if 2**power <= cores), usual, cores})


def measure(folder: Path) -> list[ByThreads]:
    """One count after another; raises BundleError."""
    bundle = Bundle.open(folder)
    usual = inference_cores().threads
    kernel = open_validated(bundle, threads=usual).kernel
    spec = bundle.manifest.input
    pixels = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), dtype=np.uint8)
    found = []
    for threads in counts(available_cpus(), usual):
        session = open_backend(bundle, kernel, threads=threads)
        times = []
        for _ in range(WARM_UP + TIMES):
            began = time.perf_counter()
            session.infer(pixels)
            times.append(1000 * (time.perf_counter() - began))
        found.append(ByThreads(threads, round(median(times[WARM_UP:]), 3)))
    return found


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure(Path(sys.argv[1]))))
