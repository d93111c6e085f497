from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from runtime.host import memory
from tests.support.waiting import wait_until

# Blocks of 100 kB, of which every fiftieth stays: what is freed between them is not at the end of the heap.
SCATTERED = """
import ctypes, sys, time
from runtime.host.memory import HeapTrimmer, return_large_buffers, share_one_arena

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
share_one_arena(), return_large_buffers()

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

blocks = [libc.malloc(100_000) for _ in range(1000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
for number, block in enumerate(blocks):
    if number % 50:
        libc.free(ctypes.c_void_p(block))
before = resident_mb()
tidying = HeapTrimmer(0.05)
tidying.start()
while time.process_time() < 1.0:  # of an idle process nothing is expected
    pass
deadline = time.monotonic() + 60
while resident_mb() > before - 80 and time.monotonic() < deadline:
    time.sleep(0.05)
tidying.stop()
print(before - resident_mb())
"""


def test_freed_memory_goes_back_to_the_system_wherever_it_lies():
    ran = subprocess.run([sys.executable, "-c", SCATTERED], capture_output=True, text=True, check=True)
    assert float(ran.stdout) > 80


def test_an_idle_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[float] = []
    looks: list[float] = []
    spent = iter([0.0, 0.01, 0.05, 0.2, 0.2, 0.25, 0.26])  # seconds of CPU

    def process_time() -> float:
        looks.append(next(spent, 0.27))
        return looks[-1]

    monkeypatch.setattr(memory, "_trim", lambda: trims.append(looks[-1]))
    monkeypatch.setattr(memory.time, "process_time", process_time)
    tidying = memory.HeapTrimmer(0.001)
    tidying.start()
    wait_until(lambda: looks[-1:] == [0.27], "more looks", every_s=0.01)
    tidying.stop()
    assert trims == [0.2]


def test_garbage_collection_leaves_out_what_lives_long() -> None:
    class Model:
        def __init__(self) -> None:
            self.itself = self

    model = Model()
    is_gone = weakref.ref(model)
    memory.return_free_memory()
    assert not any(each is model for each in gc.get_objects())
    del model
    memory.return_free_memory()
    assert is_gone() is None
