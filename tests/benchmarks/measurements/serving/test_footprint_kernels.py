from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.contenders.servers import exact_appliance
from benchmarks.host.server_process import ServerError
from benchmarks.load_generator.generator import Send, generator
from benchmarks.measurements.serving import footprint_kernels
from benchmarks.measurements.serving.footprint_kernels import (
    KernelFootprint,
    Turn,
    _turn,
    compared_kernels,
    kernel_goals,
    kernels_table,
    measure_kernels,
)
from benchmarks.statistics.samples import median_of
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.native.library import library
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

NATIVE_HERE = library()
needs_native = pytest.mark.skipif(NATIVE_HERE is None, reason="needs a processor that the native kernel serves on")


@pytest.fixture(scope="module")
def send() -> Iterator[Send]:
    with generator() as sending:
        yield sending


def footprint(kernel: str, start_s: float, resident_mb: float) -> KernelFootprint:
    turns = [Turn(start_s, resident_mb)] * 6
    return KernelFootprint(kernel, median_of([start_s] * 6), median_of([resident_mb] * 6), turns)


@needs_native
def test_a_forced_kernel_starts_beside_onnxruntimes_exact_one(send: Send):
    assert NATIVE_HERE
    slowest = NATIVE_HERE.available[-1]
    rows = measure_kernels(Bundle.open(default_bundle()), [photo()], [slowest], send, rounds=1)
    assert [row.kernel for row in rows] == [slowest, "exact"]
    assert all(row.start_s.value > 0 and 20 < row.resident_mb.value < 1000 for row in rows)
    assert kernels_table(rows).row_count == 2


@needs_native
def test_a_kernel_that_does_not_compute_the_bundle_is_not_measured_under_its_name(tmp_path: Path, send: Send):
    assert NATIVE_HERE
    bundle = Bundle.open(write_bundle(tmp_path / "v1"))
    with pytest.raises(ServerError, match=f"fast computes this bundle and not {NATIVE_HERE.instructions}"):
        measure_kernels(bundle, [photo()], [NATIVE_HERE.instructions], send, rounds=1)


def test_no_kernel_takes_no_time(send: Send):
    assert measure_kernels(Bundle.open(default_bundle()), [photo()], [], send, rounds=1) == []


def test_avx2_is_to_take_less_than_onnxruntimes_exact_kernel():
    start, resident = kernel_goals([footprint("vnni", 1, 50), footprint("avx2", 0.6, 60), footprint("exact", 1, 100)])
    assert (start.estimate.value, start.limit) == (pytest.approx(0.6), 0.7)
    assert (resident.estimate.value, resident.limit) == (pytest.approx(0.6), 0.7)
    assert kernel_goals([footprint("vnni", 1, 50), footprint("exact", 1, 100)]) == []


@needs_native
def test_what_serves_is_compared_and_avx2_where_there_is_one():
    assert NATIVE_HERE
    best = NATIVE_HERE.instructions
    assert set(compared_kernels(best)) == {best, *({"avx2"} & set(NATIVE_HERE.choices))}
    assert compared_kernels("fast") == []  # onnxruntime serves, and there is nothing to compare


def test_a_server_with_another_kernel_is_not_measured_under_the_name(monkeypatch: pytest.MonkeyPatch, send: Send):
    monkeypatch.setattr(footprint_kernels, "_kernel_of", lambda server: "sse4")
    with pytest.raises(ServerError, match="onnxruntime \\(exact\\): sse4 computes this bundle and not exact"):
        _turn("exact", exact_appliance(default_bundle()), [], send)
