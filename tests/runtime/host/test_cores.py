"""The cores for one inference, on trees of sysfs as boards and hosts have them.

A capacity is `capacity-dmips-mhz` of the device tree times the highest clock, scaled to 1024
(Documentation/devicetree/bindings/cpu/cpu-capacity.txt in Linux).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from runtime.host import cores
from runtime.host.cores import InferenceCores, inference_cores, threads_placed

A72 = A76 = A78 = 1024
# 530/1024 in Linux' rk3588-base.dtsi, 1800 and 2400 MHz (ThomasKaiser/sbc-bench, results/reviews/Rock-5b.md).
RK3588 = {0: 397, 1: 397, 2: 397, 3: 397, 4: A76, 5: A76, 6: A76, 7: A76}
# 485/1024 in Linux' rk3399-base.dtsi, 1416 and 1800 MHz.
RK3399 = {0: 381, 1: 381, 2: 381, 3: 381, 4: A72, 5: A72}


def write(folder: Path, files: Mapping[str, object]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
    return folder


def capacities(folder: Path, each: Mapping[int, object]) -> Path:
    return write(folder, {f"system/cpu/cpu{processor}/cpu_capacity": value for processor, value in each.items()})


def siblings(folder: Path, each: Mapping[int, str]) -> Path:
    name = "system/cpu/cpu{}/topology/thread_siblings_list"
    return write(folder, {name.format(processor): value for processor, value in each.items()})


def hybrid(folder: Path, p_cores: int, e_cores: int) -> Path:
    """P-cores with two threads each, then E-cores: Intel's order. All have one capacity as long as SMT is on."""
    ends = 2 * p_cores, 2 * p_cores + e_cores
    siblings(folder, {processor: f"{processor // 2 * 2}-{processor // 2 * 2 + 1}" for processor in range(ends[0])})
    siblings(folder, {processor: str(processor) for processor in range(*ends)})
    capacities(folder, dict.fromkeys(range(ends[1]), 1024))
    return write(folder, {"cpu_core/cpus": f"0-{ends[0] - 1}", "cpu_atom/cpus": f"{ends[0]}-{ends[1] - 1}"})


def chosen(folder: Path, mask: int | frozenset[int], *, quota: str | None = None) -> InferenceCores:
    allowed = frozenset(range(mask)) if isinstance(mask, int) else mask
    cgroup = folder / "cgroup"
    cgroup.mkdir(exist_ok=True)
    if quota:
        (cgroup / "cpu.max").write_text(quota)
    return inference_cores(allowed, system=folder, cgroup=cgroup, own=folder / "none")


@pytest.mark.parametrize(
    "each",
    [
        pytest.param(dict.fromkeys(range(4), A72), id="Raspberry Pi 4"),
        pytest.param(dict.fromkeys(range(4), A76), id="Raspberry Pi 5"),
        pytest.param(dict.fromkeys(range(6), A78), id="Jetson Orin Nano, two clusters"),
        pytest.param(dict.fromkeys(range(4), 1024), id="N100, no folder cpu_core"),
    ],
)
def test_equal_cores_are_all_taken_and_none_is_named(tmp_path: Path, each: Mapping[int, int]) -> None:
    assert chosen(capacities(tmp_path, each), len(each)) == InferenceCores(len(each))


def test_the_small_cores_of_an_rk3588_are_left_out(tmp_path: Path) -> None:
    found = chosen(capacities(tmp_path, RK3588), 8)
    words = "4 of 8 cores: the others have at most 39% of the fastest one's capacity"
    assert found == InferenceCores(4, frozenset({4, 5, 6, 7}), words)


def test_large_cores_with_slightly_different_clocks_stay_together(tmp_path: Path) -> None:
    found = chosen(capacities(tmp_path, {**RK3588, 6: 1003, 7: 1003}), 8)  # 2352 and 2304 MHz, by the quality of a chip
    assert (found.threads, found.processors) == (4, frozenset({4, 5, 6, 7}))


def test_an_rk3588_whose_clocks_the_system_does_not_know_takes_all_cores(tmp_path: Path) -> None:
    # Without cpufreq the device tree's 530 stays as it is, and 8 times 530 is more than 4 times 1024.
    found = chosen(capacities(tmp_path, {processor: 530 if processor < 4 else A76 for processor in range(8)}), 8)
    assert found == InferenceCores(8, None, "all 8 cores: the slowest has 52% of the fastest one's capacity")


def test_two_large_cores_take_four_small_ones_along(tmp_path: Path) -> None:
    found = chosen(capacities(tmp_path, RK3399), 6)
    words = "all 6 cores: the slowest has 37% of the fastest one's capacity"
    assert found == InferenceCores(6, None, words)


def test_of_equal_choices_the_one_with_fewer_threads_is_taken(tmp_path: Path) -> None:
    assert chosen(capacities(tmp_path, {0: 512, 1: 1024}), 2).threads == 1


def test_small_differences_between_the_cores_of_a_server_change_nothing(tmp_path: Path) -> None:
    # NVIDIA Grace has 996 to 1024 (open-mpi/hwloc, issue 634).
    each = {processor: 996 + processor % 10 * 3 for processor in range(72)}
    found = chosen(capacities(tmp_path, each), 72)
    assert (found.threads, found.processors) == (72, None)


@pytest.mark.parametrize(
    ("p_cores", "e_cores", "threads", "processors"),
    [
        pytest.param(4, 8, 12, None, id="i5-1240P"),
        pytest.param(2, 8, 10, None, id="i5-1235U"),
        pytest.param(6, 4, 6, frozenset(range(12)), id="i5-13400"),
        pytest.param(8, 8, 8, frozenset(range(16)), id="i9-12900K"),
    ],
)
def test_a_hybrid_processor_gives_one_thread_a_core(
    tmp_path: Path, p_cores: int, e_cores: int, threads: int, processors: frozenset[int] | None
) -> None:
    found = chosen(hybrid(tmp_path, p_cores, e_cores), 2 * p_cores + e_cores)
    assert (found.threads, found.processors) == (threads, processors)


def test_low_power_cores_that_no_list_of_p_cores_names_count_as_e_cores(tmp_path: Path) -> None:
    folder = write(tmp_path, {"cpu_core/cpus": "0-5", "cpu_atom/cpus": "6-13", "cpu_lowpower/cpus": "14-15"})
    assert chosen(folder, 16).words == "all 16 cores: the slowest has 50% of the fastest one's capacity"


def test_a_virtual_machine_with_two_siblings_keeps_both(tmp_path: Path) -> None:
    capacities(tmp_path, {0: 1024, 1: 1024})
    assert chosen(siblings(tmp_path, {0: "0-1", 1: "0-1"}), 2) == InferenceCores(2)


def test_siblings_of_equal_cores_all_count(tmp_path: Path) -> None:
    assert chosen(siblings(tmp_path, {n: f"{n % 4},{n % 4 + 4}" for n in range(8)}), 8) == InferenceCores(8)


def test_a_quota_of_one_and_a_half_cores_gives_two_threads_on_the_fast_ones(tmp_path: Path) -> None:
    assert chosen(tmp_path, 8, quota="150000 100000") == InferenceCores(2)
    found = chosen(capacities(tmp_path, RK3588), 8, quota="150000 100000")
    assert (found.threads, found.processors) == (2, frozenset({4, 5, 6, 7}))


def test_a_quota_is_not_filled_with_slow_cores(tmp_path: Path) -> None:
    assert chosen(capacities(tmp_path, RK3399), 6, quota="400000 100000").threads == 2


def test_a_mask_of_slow_cores_alone_takes_them_all(tmp_path: Path) -> None:
    assert chosen(capacities(tmp_path, RK3588), frozenset({0, 1, 2})) == InferenceCores(3)
    hybrid(tmp_path / "hybrid", 4, 8)
    assert chosen(tmp_path / "hybrid", frozenset(range(8, 16))) == InferenceCores(8)


def test_a_mask_with_one_fast_core_counts_that_one_and_slow_ones_by_the_rule(tmp_path: Path) -> None:
    folder = capacities(tmp_path, RK3588)
    assert chosen(folder, frozenset({0, 7})).processors == frozenset({7})
    assert chosen(folder, frozenset({0, 1, 2, 7})).threads == 4


def test_a_sibling_that_the_mask_leaves_out_is_not_used(tmp_path: Path) -> None:
    found = chosen(hybrid(tmp_path, 6, 4), frozenset(range(1, 16)))
    assert (found.threads, found.processors) == (6, frozenset(range(1, 12)))


def test_without_sysfs_the_mask_counts(tmp_path: Path) -> None:
    assert chosen(tmp_path, 3) == InferenceCores(3)


def test_without_an_affinity_mask_all_processors_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert inference_cores(system=tmp_path, cgroup=tmp_path, own=tmp_path / "none") == InferenceCores(5)
    with threads_placed(2, InferenceCores(2, frozenset({0, 1}))):
        pass


def test_capacities_of_some_processors_alone_are_not_believed(tmp_path: Path) -> None:
    assert chosen(capacities(tmp_path, {0: 1024, 1: 300}), 4) == InferenceCores(4)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("system/cpu/cpu0/cpu_capacity", "fast"),
        ("system/cpu/cpu0/cpu_capacity", "0"),
        ("system/cpu/cpu0/cpu_capacity", "-1"),
        ("system/cpu/cpu0/cpu_capacity", "9" * 5000),
        ("system/cpu/cpu0/cpu_capacity", "\0\udcff"),
        ("system/cpu/cpu0/cpu_capacity", ""),
        ("system/cpu/cpu0/topology/thread_siblings_list", "0-"),
        ("system/cpu/cpu0/topology/thread_siblings_list", "-1,x"),
    ],
)
def test_a_malformed_file_costs_one_line_in_the_log_and_all_cores_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, text: str
) -> None:
    cores._warn.cache_clear()
    folder = capacities(tmp_path, RK3588)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    with caplog.at_level(logging.WARNING):
        assert chosen(folder, 8) == InferenceCores(8)
        assert chosen(folder, 8) == InferenceCores(8)
    assert [file in record.message for record in caplog.records] == [True]


def test_a_malformed_list_of_p_cores_makes_all_cores_equal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cores._warn.cache_clear()
    (hybrid(tmp_path, 4, 8) / "cpu_core" / "cpus").write_text("P0 P1")
    assert chosen(tmp_path, 16) == InferenceCores(16)
    assert "cpu_core/cpus: 'P0 P1' is no processor; all cores count as equally fast" in caplog.text


def test_a_folder_in_place_of_a_file_is_no_file(tmp_path: Path) -> None:
    (capacities(tmp_path, RK3588) / "system/cpu/cpu0/cpu_capacity").unlink()
    (tmp_path / "system/cpu/cpu0/cpu_capacity").mkdir()
    assert chosen(tmp_path, 8) == InferenceCores(8)


def test_this_host_takes_what_it_may_use() -> None:
    found = inference_cores()
    assert 1 <= found.threads <= len(os.sched_getaffinity(0))


def test_the_choice_is_described_unless_somebody_else_chose() -> None:
    found = InferenceCores(4, frozenset({4, 5, 6, 7}), "4 of 8 cores")
    assert [found.describe(threads) for threads in (4, 8, 1)] == ["4 threads on 4 of 8 cores", "8 threads", "1 thread"]
    assert InferenceCores(2).describe(2) == "2 threads"


def masks_within(threads: int, chosen: InferenceCores) -> tuple[set[int], set[int], set[int]]:
    """The masks of a thread that is started in the block, of the one that starts it, and of that one afterwards."""
    masks: list[set[int]] = []
    with threads_placed(threads, chosen):
        other = threading.Thread(target=lambda: masks.append(os.sched_getaffinity(0)))
        other.start()
        other.join()
        masks.append(os.sched_getaffinity(0))
    return masks[0], masks[1], os.sched_getaffinity(0)


def test_a_pool_starts_on_the_chosen_cores_and_its_starter_goes_back() -> None:
    everywhere = os.sched_getaffinity(0)
    first = frozenset({min(everywhere)})
    pair = first | {9_999}  # enough for two threads; the system takes those that there are
    assert masks_within(2, InferenceCores(2, pair)) == (first, first, everywhere)


@pytest.mark.parametrize(
    ("threads", "processors"),
    [(1, frozenset({0, 1})), (2, None), (3, frozenset({0, 1})), (2, frozenset({9_998, 9_999}))],
)
def test_nothing_is_placed_where_it_would_not_help(threads: int, processors: frozenset[int] | None) -> None:
    everywhere = os.sched_getaffinity(0)
    assert masks_within(threads, InferenceCores(2, processors)) == (everywhere,) * 3


def test_after_an_error_the_starter_goes_back_too() -> None:
    everywhere = os.sched_getaffinity(0)
    with (
        pytest.raises(RuntimeError, match="no pool"),
        threads_placed(2, InferenceCores(2, frozenset({min(everywhere), 9_999}))),
    ):
        raise RuntimeError("no pool")
    assert os.sched_getaffinity(0) == everywhere
