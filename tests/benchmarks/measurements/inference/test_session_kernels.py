"""`python -m benchmarks sessions` with one instruction set after another of the native kernel."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.measurements.inference.instruction_sets import kernels_to_measure, require_sets
from benchmarks.measurements.inference.session_goals import FP32, ONNXRUNTIME
from benchmarks.measurements.inference.sessions import SessionsResult, ours, sessions_table
from runtime.errors import Refusal
from runtime.inference.backends import NATIVE
from runtime.native.layout import FASTEST
from runtime.native.library import VARIABLE, library
from tests.support.models.bundles import write_bundle

QUICK = ("--rounds", 2, "--no-openvino", "--no-peak")
NATIVE_HERE = library()
needs_native = pytest.mark.skipif(NATIVE_HERE is None, reason="needs a processor that the native kernel serves on")


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(main, ["sessions", *map(str, arguments)])


@needs_native
def test_a_forced_instruction_set_is_timed_beside_onnxruntime(tmp_path: Path):
    assert NATIVE_HERE
    slowest = NATIVE_HERE.available[-1]
    ran = run("--size", 32, "--isa", slowest, "--isa", "reference", "--isa", slowest, *QUICK, "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((tmp_path / "sessions.json").read_bytes(), type=SessionsResult)
    alone = [row for row in result.rows if row.threads == 1]
    assert [row.kernel for row in alone] == [slowest, "reference", "", ""]
    assert [row.name for row in alone] == [ours(slowest), ours("reference"), ONNXRUNTIME, FP32]
    assert result.served == NATIVE_HERE.instructions
    assert [column.header for column in sessions_table(result).columns][-1] == "billion/s"  # no peak was measured


@needs_native
def test_by_default_what_serves_is_timed_beside_the_slower_sets_of_this_host():
    assert NATIVE_HERE
    assert kernels_to_measure((), NATIVE_HERE.instructions) == list(NATIVE_HERE.available)


def test_if_onnxruntime_serves_it_is_timed_alone():
    assert kernels_to_measure((), "fast") == ["fast"]


@needs_native
def test_an_instruction_set_that_this_host_lacks_is_refused_with_those_that_it_has(tmp_path: Path):
    assert NATIVE_HERE
    lacking = next(name for names in FASTEST.values() for name in names if name not in NATIVE_HERE.available)
    ran = run("--isa", lacking, "--isa", "reference", *QUICK, "--out", tmp_path)
    assert ran.exit_code == 1
    assert ran.stderr == f"Error: --isa {lacking}: this host has {', '.join(NATIVE_HERE.available)}, reference\n"


def test_no_instruction_set_is_there_if_the_native_kernel_is_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "off")
    library.cache_clear()
    try:
        with pytest.raises(Refusal, match="this host has no native kernel, or DANDELION_NATIVE is off"):
            require_sets(["avx2"])
    finally:
        library.cache_clear()


@needs_native
def test_an_instruction_set_that_does_not_compute_a_bundle_is_not_timed_under_its_name(tmp_path: Path):
    assert NATIVE_HERE
    bundle = write_bundle(tmp_path / "v1")
    ran = run("--bundle", bundle, "--isa", NATIVE_HERE.instructions, *QUICK, "--out", tmp_path)
    assert ran.exit_code == 1
    assert f"{NATIVE_HERE.instructions} does not compute" in ran.stderr


def test_a_name_that_is_no_instruction_set_is_a_bad_value():
    ran = run("--isa", "mmx")
    assert ran.exit_code == 2
    assert all(name in ran.stderr for name in NATIVE)
