"""How far memory rises while a photo is decoded, in a process that has decoded nothing but small photos before.

`python -m tests.support.pictures.decoding` has the decoders imported and forks for each photo: to import them takes
several times what most photos do. Orders come as lines of JSON, and so do the answers.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from runtime.image import ImageError, ImageSpec, PhotoLimits, decode, warm_up

ROOT = Path(__file__).parents[3]


class Rise(NamedTuple):
    """Of resident memory, in bytes, at most and for good; `decoded` is how many photos were not refused."""

    peak: int
    left: int
    decoded: int


def rise(data: bytes, side: int, *, threads: int = 0, decoding_bytes: int) -> Rise:
    """Decode a photo at `side` px, in each of so many threads at once, or without one."""
    process = _process()
    assert process.stdin
    assert process.stdout
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        order = {"file": file.name, "side": side, "threads": threads, "decoding_bytes": decoding_bytes}
        print(json.dumps(order), file=process.stdin, flush=True)
        answer = process.stdout.readline()
    assert answer, "the process has ended; its last words are above"
    return Rise(*json.loads(answer))


@cache
def _process() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.support.pictures.decoding"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    atexit.register(process.communicate)
    return process


def main() -> None:
    warm_up()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            print(json.dumps(measured(**json.loads(line))), flush=True)
            return
        if os.waitpid(child, 0)[1]:
            sys.exit(1)


def measured(file: str, side: int, threads: int, decoding_bytes: int) -> Rise:
    """In a fork. The pages of code that it is the first to touch do not count."""
    warm_up()
    spec, limits = ImageSpec(height=side, width=side), PhotoLimits(decoding_bytes=decoding_bytes)
    data = Path(file).read_bytes()

    def attempt(data: bytes) -> int:
        try:
            decode(data, spec, limits=limits)
        except ImageError:
            return 0
        return 1

    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident_bytes("RssAnon")
    if not threads:
        return rise_since(before, attempt(data))
    with ThreadPoolExecutor(threads) as pool:
        return rise_since(before, sum(pool.map(attempt, [data] * threads)))


def rise_since(before: int, decoded: int) -> Rise:
    peak = resident_bytes("VmHWM") - resident_bytes("RssFile")
    return Rise(peak - before, resident_bytes("RssAnon") - before, decoded)


def resident_bytes(kind: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024


if __name__ == "__main__":
    main()
