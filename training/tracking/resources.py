"""Resource sampling during training (CPU, memory), kept in a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

EVERY_S = 2.0
MEGA = 1e6


class Sample(msgspec.Struct, frozen=True):
    """One moment (Unix time, s): figures by the names that MLflow gives to system metrics."""

    time_s: float
    figures: dict[str, float]


@contextmanager
def sampled(file: Path, *, every_s: float = EVERY_S) -> Iterator[None]:
    """Write to `file` what the machine and this process used while the block ran, at its beginning and end at least."""
    samples: list[Sample] = []
    done = threading.Event()
    process = psutil.Process()
    process.cpu_percent()  # the first call only begins to measure
    psutil.cpu_percent()

    def watch() -> None:
        samples.append(_sample(process))
        while not done.wait(every_s):
            samples.append(_sample(process))

    watcher = threading.Thread(target=watch, name="sample-resources", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        samples.append(_sample(process))
        file.write_bytes(msgspec.json.encode(samples))


def read_samples(file: Path) -> list[Sample]:
    """What `sampled` wrote; nothing where it did not."""
    if not file.exists():
        return []
    return msgspec.json.decode(file.read_bytes(), type=list[Sample])


def _sample(process: psutil.Process) -> Sample:
    memory = psutil.virtual_memory()
    return Sample(
        time.time(),
        {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": memory.used / MEGA,
            "system/system_memory_usage_percentage": memory.percent,
            "system/process_cpu_utilization_percentage": process.cpu_percent(),
            "system/process_memory_usage_megabytes": process.memory_info().rss / MEGA,
        },
    )
