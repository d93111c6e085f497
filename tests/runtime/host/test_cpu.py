from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.host.cpu import available_cpus, cpu_quota


def cgroup_v2(folder: Path, text: str) -> Path:
    (folder / "cpu.max").write_text(text)
    return folder


@pytest.mark.parametrize(("text", "quota"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("50000 100000", 0.5)])
def test_the_quota_of_cgroup_v2_is_read(tmp_path: Path, text: str, quota: float | None) -> None:
    assert cpu_quota(cgroup_v2(tmp_path, text)) == quota


@pytest.mark.parametrize(("text", "quota"), [("200000", 2.0), ("-1", None)])
def test_the_quota_of_cgroup_v1_is_read(tmp_path: Path, text: str, quota: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(text)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert cpu_quota(tmp_path) == quota


@pytest.mark.parametrize("text", ["", "fast", "150000", "fast 100000", "150000 0", "-2 100000", "\udcff\udcff 1"])
def test_a_quota_that_nobody_can_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu.max").write_bytes(text.encode("utf-8", "surrogateescape"))
    (tmp_path / "own").write_text("0\n::\n\n")
    assert cpu_quota(tmp_path, tmp_path / "own") is None


def test_a_quota_caps_the_cores_and_never_below_one(tmp_path: Path) -> None:
    assert available_cpus(cgroup_v2(tmp_path, "20000 100000")) == 1


def test_without_a_quota_the_affinity_mask_counts(tmp_path: Path) -> None:
    everywhere = os.sched_getaffinity(0)
    assert available_cpus(tmp_path) == len(everywhere)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        assert available_cpus(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, everywhere)
