"""The kernel's answers are compared byte by byte, on this host and on emulated processors."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.host.machine import this_machine
from benchmarks.measurements.instructions.answers import (
    HERE,
    Answers,
    AnswersResult,
    answered_photos,
    answers_table,
    compare_answers,
)
from benchmarks.measurements.instructions.cpus import CPUS
from benchmarks.measurements.instructions.job_file import JobFile
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import Bundle
from runtime.errors import Refusal
from runtime.image import ImageSpec
from runtime.inference.native_session import NativeSession, plan_of
from runtime.native.library import VARIABLE, library
from tests.runtime.native.models import CLASSES, library_of, loads_prebuilt, model_of, photos
from tests.support.host.emulated import CACHE
from tests.support.photos import write_photos
from tests.support.suite.system_packages import needs

SIZE = 32
SPEC = ImageSpec(height=SIZE, width=SIZE)


@pytest.mark.emulated
@needs("qemu-user")
@loads_prebuilt
def test_every_route_answers_with_the_bytes_of_the_reference(tmp_path: Path) -> None:
    arguments = ["answers", "--count", "2", "--cpu", "Haswell", "--cpu", "max", "--cache", str(CACHE)]
    folder = write_photos(tmp_path / "photos", 2)
    environment = {"DANDELION_PHOTOS": str(folder), "DANDELION_OTHER_PHOTOS": None}
    ran = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path)], env=environment)
    assert ran.exit_code == 0, ran.output
    result = msgspec.json.decode((tmp_path / "answers.json").read_bytes(), type=AnswersResult)
    found = library()
    assert found is not None
    here = [(HERE, name, by) for name in found.available for by in ("library", "NativeSession")]
    emulated = [("Haswell", "avx2", "QEMU"), ("max", "i8mm", "QEMU")]
    assert [(row.processor, row.kernel, row.by) for row in result.rows] == here + emulated
    assert {(row.photos, row.equal, row.verdict) for row in result.rows} == {(2, 2, "equal")}
    assert {row.activations for row in result.rows if row.by != "NativeSession"} == {2}


def test_what_is_read_of_a_job_is_what_a_session_answers_in_each_layout() -> None:
    pixels = photos(3, SIZE)
    native = library_of("reference")
    seen = []
    for layout in ("sse4", "amx", "i8mm"):
        plan = plan_of(model_of(SIZE), SPEC, CLASSES, layout)
        job = JobFile(plan, pixels, "reference")
        computed = job.computed(job.run(native))
        answers = NativeSession(plan, native, threads=1).infer(pixels)
        assert [each.scores for each in computed] == [scores.tobytes() for scores in answers.activation_map]
        assert [each.probabilities for each in computed] == [each.tobytes() for each in answers.probabilities]
        seen.append([each.activations for each in computed])
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen[0])) == len(pixels)


def result_of(*rows: Answers) -> AnswersResult:
    return AnswersResult(this_machine(), "v1", SIZE, "qemu-x86_64 version 7.2.22", "3 of 9 photos, 0 drawn", list(rows))


def test_a_route_that_differs_is_named() -> None:
    result = result_of(
        Answers("Haswell", "avx2", "QEMU", 3, 3, 3),
        Answers("max", "i8mm", "QEMU", 3, 3, 1),
        Answers(HERE, "vnni", "NativeSession", 3, 2, None),
    )
    assert result.different == ["max (i8mm, QEMU)", "this host (vnni, NativeSession)"]
    assert list(answers_table(result).columns[-1].cells) == ["equal", "2 differ", "1 differ"]


def test_photos_are_real_as_far_as_there_are_some_and_then_drawn(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "photos", 2)  # of each class
    real, _ = answered_photos([folder], 4, SPEC)
    pixels, described = answered_photos([folder, tmp_path / "nothing"], 6, SPEC)
    assert described == "4 of 4 photos, 2 drawn"
    assert pixels.shape == (6, SIZE, SIZE, 3)
    assert np.array_equal(pixels[:4], real)
    assert len({each.tobytes() for each in pixels}) == len(pixels)
    assert answered_photos([], 2, SPEC)[1] == "0 of 0 photos, 2 drawn"


def test_a_photo_that_does_not_decode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    with pytest.raises(Refusal, match="take that photo out, or name another folder"):
        answered_photos([tmp_path], 1, SPEC)


def test_a_host_without_the_kernel_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.cache_clear()
    monkeypatch.setenv(VARIABLE, "off")
    try:
        with pytest.raises(Refusal, match="no native kernel, or DANDELION_NATIVE is off"):
            compare_answers(Bundle.open(default_bundle()), [], 1, [], tmp_path)
    finally:
        library.cache_clear()


@loads_prebuilt
def test_a_machine_without_the_emulator_is_told_before_photos_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match="qemu-aarch64 is not installed"):
        compare_answers(Bundle.open(default_bundle()), [CPUS["max"]], 1, [], tmp_path)
