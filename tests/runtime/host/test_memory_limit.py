"""How much memory is left, as cgroups of both versions say it."""

from __future__ import annotations

from pathlib import Path

from runtime.host.memory_limit import available_memory, memory_for_planning

MIB = 2**20


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def left(tmp_path: Path, own: str = "") -> int | None:
    write(tmp_path, own=own)
    return available_memory(tmp_path / "cgroup", tmp_path / "own", tmp_path / "meminfo")


def test_nothing_is_known_where_nothing_says(tmp_path: Path):
    assert left(tmp_path) is None


def test_the_host_says_what_it_has(tmp_path: Path):
    write(tmp_path, meminfo="MemTotal: 4096 kB\nMemAvailable:    2048 kB\n")
    assert left(tmp_path) == 2 * MIB


def test_a_cgroup_leaves_its_limit_less_what_is_in_use(tmp_path: Path):
    usage = {"memory__current": str(100 * MIB), "memory__stat": f"anon 1\ninactive_file {30 * MIB}\nslab 2\n"}
    write(tmp_path / "cgroup", memory__max=str(256 * MIB), **usage)
    assert left(tmp_path) == 186 * MIB


def test_the_closest_limit_above_counts(tmp_path: Path):
    write(tmp_path, meminfo=f"MemAvailable: {2**30} kB\n")
    write(tmp_path / "cgroup" / "a", memory__max=str(64 * MIB), memory__current="0", memory__stat="inactive_file 0\n")
    write(tmp_path / "cgroup" / "a" / "b", memory__max="max", memory__current="0", memory__stat="inactive_file 0\n")
    assert left(tmp_path, "0::/a/b\n") == 64 * MIB


def test_the_first_version_of_cgroups_is_read_too(tmp_path: Path):
    write(
        tmp_path / "cgroup" / "memory" / "x",
        memory__limit_in_bytes=str(512 * MIB),
        memory__usage_in_bytes=str(200 * MIB),
        memory__stat=f"total_inactive_file {10 * MIB}\n",
    )
    assert left(tmp_path, "5:memory:/x\n4:cpu,cpuacct:/y\n") == 322 * MIB


def planned(tmp_path: Path, own: str = "") -> int | None:
    write(tmp_path, own=own)
    return memory_for_planning(tmp_path / "cgroup", tmp_path / "own", tmp_path / "meminfo")


def test_without_a_limit_half_of_what_the_host_has_is_planned_with(tmp_path: Path):
    assert planned(tmp_path) is None
    write(tmp_path, meminfo="MemTotal: 4096 kB\nMemAvailable:    2048 kB\n")
    assert planned(tmp_path) == MIB
    write(tmp_path / "cgroup" / "memory", memory__limit_in_bytes="9223372036854771712")
    assert planned(tmp_path) == MIB
    write(tmp_path / "cgroup", memory__max="max")
    assert planned(tmp_path) == MIB


def test_the_least_limit_of_a_cgroup_is_planned_with_whatever_is_in_use(tmp_path: Path):
    write(tmp_path, meminfo=f"MemAvailable: {2**20} kB\n")
    write(tmp_path / "cgroup" / "a", memory__max=str(256 * MIB), memory__current=str(200 * MIB))
    write(tmp_path / "cgroup" / "a" / "b", memory__max=str(512 * MIB))
    write(tmp_path / "cgroup" / "memory" / "x", memory__limit_in_bytes=str(384 * MIB))
    assert planned(tmp_path, "0::/a/b\n4:memory:/x\n") == 256 * MIB


def test_a_limit_above_what_the_host_has_available_is_not_believed(tmp_path: Path):
    write(tmp_path, meminfo="MemAvailable: 102400 kB\n")
    write(tmp_path / "cgroup", memory__max=str(256 * MIB))
    assert planned(tmp_path) == 100 * MIB
