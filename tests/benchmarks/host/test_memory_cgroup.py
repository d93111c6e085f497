from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.host import memory_cgroup as host
from benchmarks.host.confined import confined
from benchmarks.host.memory_cgroup import CgroupError, MemoryCgroup
from tests.support.host.memory_cgroup import memory_cgroup

LIMIT = 200 * 2**20
_TELL = """
import resource
from runtime.host.cpu import available_cpus
from runtime.host.memory_limit import available_memory
print(available_cpus(), available_memory(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.fixture
def group() -> Iterator[MemoryCgroup]:
    with memory_cgroup(LIMIT, 1.0) as made:
        yield made
    assert not any(folder.exists() for folder in made.folders)


def test_what_is_started_confined_has_the_limits(group: MemoryCgroup, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("module")
    (folder / "tells_limits.py").write_text(_TELL)
    command = [sys.executable, "-m", *confined("tells_limits", group, 100)]
    path = os.pathsep.join([str(folder), str(Path.cwd())])
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    ).stdout
    cpus, memory, soft, hard = map(int, said.split())
    assert (cpus, soft, hard) == (1, 100, 100)
    assert LIMIT / 2 < memory < LIMIT


def test_a_process_that_takes_more_is_killed_and_counted(group: MemoryCgroup) -> None:
    taken = [sys.executable, "-c", f"bytearray({LIMIT} + 2**25)"]
    assert group.kills == 0
    assert subprocess.run(taken, check=False, preexec_fn=group.enter).returncode == -9
    assert group.kills == 1


def test_where_no_group_can_be_made_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CGROUPS", Path("/nowhere"))
    with (
        pytest.raises(CgroupError, match="needs root and a memory cgroup that may be written to"),
        host.memory_cgroup(1),
    ):
        pass
