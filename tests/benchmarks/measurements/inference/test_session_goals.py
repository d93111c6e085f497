from __future__ import annotations

import pytest

from benchmarks.measurements.inference.session_goals import FP32, ONNXRUNTIME, OPENVINO, PRODUCT, Row, session_goals
from benchmarks.statistics.samples import median_of


def row(name: str, ms: float, *, gmacs: float = 100, threads: int = 1, kernel: str = "") -> Row:
    return Row(name, threads, median_of([ms] * 6), gmacs, [ms] * 6, kernel)


def test_the_peak_is_the_fastest_product():
    rows = [
        row("ours", 10, gmacs=200, kernel="vnni"),
        row(OPENVINO, 9, gmacs=222),
        row(f"{PRODUCT} a", 2, gmacs=100),
        row(f"{PRODUCT} b", 4, gmacs=250),
    ]
    against, fraction = session_goals(rows, "vnni", 128)
    assert against.estimate.value == pytest.approx(10 / 9)
    assert fraction.estimate.value == pytest.approx(200 / 250)


@pytest.mark.parametrize(("size", "limit"), [(96, 0.74), (224, 0.78)])
def test_avx512_vnni_is_compared_with_the_faster_int8_engine_on_one_thread_and_on_two(size: int, limit: float):
    rows = [
        *(row("ours", 6, threads=threads, kernel="vnni") for threads in (1, 2)),
        *(row(OPENVINO, 9, threads=threads) for threads in (1, 2)),
        *(row(ONNXRUNTIME, 7 + 3 * threads, threads=threads) for threads in (1, 2)),  # 10 ms, 13 ms
        *(row(FP32, 1, threads=threads) for threads in (1, 2)),
    ]
    found = [goal for goal in session_goals(rows, "amx", size) if goal.what.startswith("AVX-512 VNNI")]
    assert [goal.estimate.value for goal in found] == [pytest.approx(6 / 9)] * 2
    assert [goal.limit for goal in found] == [limit] * 2
    assert [goal.what.rpartition(", ")[2] for goal in found] == ["1 thread", "2 threads"]


@pytest.mark.parametrize(("size", "limit"), [(96, 0.5), (224, 0.65)])
def test_avx2_is_compared_with_fp32_on_one_thread(size: int, limit: float):
    rows = [row("ours", 4, threads=threads, kernel="avx2") for threads in (1, 2)]
    rows += [row(FP32, 10, threads=threads) for threads in (1, 2)]
    (goal,) = session_goals(rows, "vnni", size)
    assert (goal.estimate.value, goal.limit) == (pytest.approx(0.4), limit)
    assert goal.what == "AVX2: time over that of onnxruntime, FP32, 1 thread"


def test_avx_vnni_is_compared_with_openvino_on_one_thread():
    rows = [row("ours", 4, kernel="avxvnni"), row(OPENVINO, 5), row(ONNXRUNTIME, 1)]
    (goal,) = session_goals(rows, "vnni", 96)
    assert (goal.estimate.value, goal.limit) == (pytest.approx(0.8), 1.5)


def test_a_size_or_a_rival_without_a_figure_gives_none():
    vnni = row("ours", 6, kernel="vnni")
    assert session_goals([vnni, row(ONNXRUNTIME, 9)], "vnni", 96) == []  # OpenVINO did not take part
    assert session_goals([vnni, row(ONNXRUNTIME, 9), row(OPENVINO, 9)], "amx", 128) == []
    assert session_goals([row("ours", 6, kernel="sse4"), row(FP32, 9), row(OPENVINO, 9)], "avx2", 96) == []


def test_only_what_serves_is_held_to_openvinos_level():
    rows = [row("ours", 6, kernel="avx2"), row("ours too", 9, kernel="sse4"), row(OPENVINO, 5)]
    (goal,) = session_goals(rows, "avx2", 128)
    assert goal.what == "time over OpenVINO's, 1 thread"
    assert goal.estimate.value == pytest.approx(6 / 5)
