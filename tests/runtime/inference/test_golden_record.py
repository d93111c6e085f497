"""Golden cases of the native kernel: wherever it serves, the deviation from them is 0."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from benchmarks.measurements.instructions.compiled import run_job
from benchmarks.measurements.instructions.cpus import CPUS, EmulatedCpu
from benchmarks.measurements.instructions.emulation import emulate
from benchmarks.measurements.instructions.job_file import JobFile
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle, GoldenCase
from runtime.inference import backends
from runtime.inference.backends import Kernel, golden_deviation, open_backend, open_validated, picture_of
from runtime.inference.golden_record import as_recorded, record_natively
from runtime.inference.native_session import plan_of
from runtime.native.layout import Instructions
from runtime.native.library import library
from tests.runtime.native.models import claiming, every_instruction_set, loads_prebuilt, variant_of
from tests.support.host.emulated import CACHE
from tests.support.models.bundles import change_manifest, write_bundle
from tests.support.suite.system_packages import needs

OF_EACH_PATTERN = slice(None, None, 3)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(default_bundle())


@pytest.fixture
def earlier(bundle: Bundle, tmp_path: Path) -> Bundle:
    """The default bundle as an earlier release wrote it: onnxruntime's answers, to six decimals."""
    folder = Path(shutil.copytree(bundle.path, tmp_path / "v1"))
    exact = open_backend(bundle, Kernel("int8", "exact"), threads=1)
    cases = []
    for case in bundle.manifest.golden:
        answer = exact.infer(picture_of(case, bundle.manifest.input)[np.newaxis]).probabilities[0]
        cases.append(msgspec.structs.replace(case, int8=[round(each, 6) for each in answer.tolist()]))
    change_manifest(folder, version="v1", golden=msgspec.to_builtins(cases))
    return Bundle.open(folder)


def recorded(bundle: Bundle) -> list[GoldenCase]:
    manifest = bundle.manifest
    return record_natively(manifest.golden, bundle.model, manifest.input, manifest.outputs, threads=1)


@every_instruction_set
def test_the_default_bundle_records_what_each_instruction_set_answers(
    bundle: Bundle, variant: tuple[Instructions, Instructions]
) -> None:
    manifest = bundle.manifest
    session = variant_of(variant).session(bundle.model.read_bytes(), manifest.input.height)
    assert golden_deviation(session, manifest.golden[OF_EACH_PATTERN], manifest.input) == 0


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize("cpu", [pytest.param(cpu, id=name) for name, cpu in CPUS.items()])
def test_the_default_bundle_records_what_emulated_processors_answer(
    bundle: Bundle, cpu: EmulatedCpu, tmp_path: Path
) -> None:
    manifest = bundle.manifest
    cases = manifest.golden[OF_EACH_PATTERN]
    plan = plan_of(bundle.model.read_bytes(), manifest.input, manifest.outputs, cpu.instructions)
    job = JobFile(plan, np.stack([picture_of(case, manifest.input) for case in cases]), cpu.instructions)
    computed = job.computed(emulate(cpu, [str(run_job(cpu.architecture, CACHE)), *job.write(tmp_path)]))
    for case, answer in zip(cases, computed, strict=True):
        assert np.frombuffer(answer.probabilities, np.float32).tolist() == np.float32(case.int8).tolist()


@loads_prebuilt
def test_a_bundle_that_onnxruntime_recorded_opens_and_its_cases_can_be_recorded_anew(
    bundle: Bundle, earlier: Bundle
) -> None:
    opened = open_validated(earlier, threads=1)
    found = library()
    assert found
    assert opened.kernel.kernel == found.instructions
    assert 0 < opened.kernel.deviation < 1e-5
    assert recorded(earlier) == bundle.manifest.golden


def test_with_onnxruntime_the_native_record_is_off_by_rounding_alone(bundle: Bundle) -> None:
    assert open_validated(bundle, threads=1, preferred="exact").kernel.deviation < 1e-5


def test_what_the_kernel_does_not_compute_stays_as_onnxruntime_recorded_it(tmp_path: Path) -> None:
    bundle = Bundle.open(write_bundle(tmp_path / "v1"))
    assert recorded(bundle) == bundle.manifest.golden
    assert open_validated(bundle, threads=1).kernel.deviation == 0


def test_without_the_kernel_the_cases_stay_as_they_are(earlier: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "library", lambda: None)
    assert recorded(earlier) == earlier.manifest.golden


def test_a_kernel_that_is_wrong_records_nothing_and_the_log_says_so(
    earlier: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = claiming("sse4")._replace(run=lambda job, pool: 0)  # computes nothing
    monkeypatch.setattr(backends, "library", lambda: broken)
    assert recorded(earlier) == earlier.manifest.golden
    assert "the native kernel (sse4) is off by" in caplog.text


def test_every_float32_is_read_as_it_was_recorded() -> None:
    drawn = np.random.default_rng(0).random(10_000, np.float32)
    small = np.float32([0, 1e-45, 1.1754944e-38, 3e-10, 1 - 2**-24, 1])
    for values in (drawn, drawn * small[3], small):
        read = msgspec.json.decode(msgspec.json.encode(as_recorded(values)), type=list[float])
        assert np.array_equal(np.array(read, np.float32), values)


def test_a_probability_that_rounding_has_made_more_than_1_is_recorded_as_1() -> None:
    assert as_recorded(np.float32([1.0000001, 0])) == [1, 0]
