"""The largest photos that are accepted, many at once, under the memory limits that are promised: nothing dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.appliances.servers import appliance
from tests.support.host.confined import CPUS, GROUP
from tests.support.host.memory_cgroup import memory_cgroup
from tests.support.pictures.large_photos import largest_photos
from tests.support.suite.repeats import repeats

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
