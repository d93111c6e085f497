"""The largest photos that are accepted, many at once, under the memory limits that are promised: nothing dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.appliances.servers import appliance
from tests.support.host.confined import CPUS, GROUP
from tests.support.host.memory_cgroup import MemoryCgroup, memory_cgroup
from tests.support.photos import photo
from tests.support.pictures.large_photos import flat_png, largest_photos
from tests.support.suite.repeats import repeats
from tests.support.waiting import wait_until

MIB = 2**20


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("memory_mib", "cpus", "module"), [(256, 1, "ui"), pytest.param(512, 2, "ui", marks=pytest.mark.thorough)]
)
def test_the_largest_photos_of_each_kind_do_not_kill_it(
    memory_mib: int, cpus: int, module: str, tmp_path: Path
) -> None:
    with memory_cgroup(memory_mib * MIB) as group:
        place = {GROUP: str(group.folder), CPUS: str(cpus), "DANDELION_CACHE": str(tmp_path / "cache")}
        with appliance(tmp_path, module=("tests.support.host.confined", module), **place) as running:
            limits = httpx.get(running.url + "/health").json()["limits"]
            assert limits["memory_bytes"] == memory_mib * MIB
            found = send_to(running.port)
            print(f"{group.peak_bytes / MIB:.0f} MiB of {memory_mib} at the peak")
            assert largest_photos.faults(found) == []
            assert group.kills == 0
            assert running.alive


def send_to(port: int) -> dict[str, object]:
    command = [sys.executable, largest_photos.__file__]
    told = os.environ | {"PORT": str(port), "CLIENTS": str(repeats(largest_photos.CLIENTS))}
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


NEIGHBOUR = """
import sys
from pathlib import Path
group = Path(sys.argv[1])
(group / "cgroup.procs").write_text("0")
counter = group / ("memory.oom_control" if (group / "memory.oom_control").exists() else "memory.events")
taken = []
while "oom_kill 0" in counter.read_text():
    taken.append(b"x" * 2**20)
"""


def decoding_child(parent: int) -> psutil.Process | None:
    """The child process of an appliance that has a photo in hand."""
    for child in psutil.Process(parent).children():
        if "runtime.serving.offload.child" in child.cmdline() and child.memory_info().rss > 60 * MIB:
            return child
    return None


def fill(group: MemoryCgroup) -> None:
    """Take memory inside the group until the kernel has ended somebody."""
    subprocess.run([sys.executable, "-c", NEIGHBOUR, str(group.folder)], check=True)


def test_where_memory_runs_out_the_decoding_child_dies_first_and_the_next_photo_is_answered(tmp_path: Path) -> None:
    with memory_cgroup(256 * MIB) as group, ThreadPoolExecutor(1) as client:
        place = {GROUP: str(group.folder), CPUS: "1", "DANDELION_CACHE": str(tmp_path / "cache")}
        with appliance(tmp_path, module=("tests.support.host.confined", "runtime"), **place) as running:
            giant = flat_png(4500, 4500)
            asked = client.submit(httpx.post, running.url + "/predict", files={"file": giant}, timeout=300)
            child = wait_until(lambda: decoding_child(running.process.pid), "a child decodes", every_s=0.001)
            child.send_signal(signal.SIGSTOP)  # as if the photo took longer
            fill(group)
            answer = asked.result()
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "send it again in 1 s, or a smaller photo" in answer.json()["detail"]
            assert (group.kills, running.alive, child.is_running()) == (1, True, False)
            assert httpx.post(running.url + "/predict", files={"file": photo()}).status_code == 200
            assert httpx.post(running.url + "/predict", files={"file": giant}, timeout=300).status_code == 200
            assert "a child process for heavy work ended: SIGKILL" in running.log.read_text()
