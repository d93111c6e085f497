from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.host.interference import Contention
from benchmarks.host.machine import this_machine
from benchmarks.measurements.serving.advise import (
    Advice,
    KernelTime,
    Option,
    Target,
    choose,
    extrapolate,
    kernels_table,
    recommendation,
    thread_counts,
)
from runtime.host.cores import inference_cores
from tests.support.models.bundles import write_bundle
from tests.support.photos import write_photos


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["advise", *map(str, arguments)])


def option(size: int, threads: int, p95: float, rate: float, infer: float = 5.0, **changes: object) -> Option:
    made = Option(f"v{size}", f"bundles/v{size}", size, threads, p95 - 1, p95, rate, infer)
    return msgspec.structs.replace(made, **changes)


def advice(target: Target, *options: Option) -> Advice:
    kernels = [KernelTime("int8", "fast", 5.0, True), KernelTime("int8", "exact", 6.0, False)]
    quiet = Contention(0.0, 2, 2)
    return Advice(this_machine(), quiet, target, "photos", list(options), kernels, choose(options, target))


def test_the_host_is_measured_and_settings_are_given(tmp_path: Path):
    bundle, photos = write_bundle(tmp_path / "v1"), write_photos(tmp_path / "photos", 2)
    ran = run("--bundle", bundle, "--photos", photos, "--seconds", 2, "--target-ms", 5000, "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    assert f"DANDELION_BUNDLE={bundle}\n  DANDELION_THREADS=1\n" in ran.stdout
    told = msgspec.json.decode((tmp_path / "advise.json").read_bytes(), type=Advice)
    measured = [each for each in told.options if not each.extrapolated]
    assert [each.threads for each in measured] == thread_counts(told.machine.cores, inference_cores().threads)
    assert all(0 < each.p50_ms <= each.p95_ms and each.photos_per_s > 0 for each in measured)
    assert {kernel.kernel for kernel in told.kernels} == {"fast", "exact"}


def test_a_target_is_needed():
    ran = run()
    assert ran.exit_code == 2
    assert "give --target-ms, --target-rate or both" in ran.stderr


def test_threads_are_tried_by_doubling_and_all_and_the_usual_number():
    assert [thread_counts(cores, cores) for cores in (1, 2, 6)] == [[1], [1, 2], [1, 2, 4, 6]]
    assert thread_counts(10, 6) == [1, 2, 4, 6, 8, 10]


def test_the_largest_input_that_meets_the_target_with_the_fewest_threads_is_chosen():
    options = [option(224, 1, 20, 90), option(224, 2, 12, 90), option(160, 1, 8, 180), option(160, 2, 6, 180)]
    assert choose(options, Target(15, None)) == options[1]
    assert choose(options, Target(25, None)) == options[0]
    assert choose(options, Target(None, 120)) == options[2]  # 144 is what 180 keeps up
    assert choose(options, Target(None, 150)) is None


def test_what_can_be_served_as_it_is_goes_before_what_must_be_made():
    random = option(224, 1, 10, 100, trained=False)
    assert choose([random, option(160, 1, 10, 100)], Target(20, None)).image_size == 160
    assert "IMAGE_SIZE=224 make train" in recommendation(advice(Target(20, None), random))
    assert "measured, not trained for this size" in recommendation(advice(Target(20, None), random))


def test_other_sizes_are_reckoned_by_area():
    (larger,) = [each for each in extrapolate([option(160, 1, 8, 100, infer=5.0)]) if each.image_size == 224]
    assert larger.extrapolated
    assert larger.infer_ms == pytest.approx(5 * (224 / 160) ** 2)
    assert larger.p95_ms == pytest.approx(8 + larger.infer_ms - 5)
    assert larger.photos_per_s < 100
    between = extrapolate([option(224, 1, 13, 60, infer=11.0), option(96, 1, 5, 200, infer=3.0)])
    assert [each.image_size for each in between] == [192, 160, 128]
    times = [each.infer_ms for each in between]
    assert 11 > times[0] > times[1] > times[2] > 3


def test_a_reckoned_size_is_called_so():
    told = recommendation(advice(Target(5, None), option(160, 1, 8, 100), *extrapolate([option(160, 1, 8, 100)])))
    assert "extrapolated, not measured" in told


def test_what_cannot_be_reached_is_said_with_the_remedy():
    slow = recommendation(advice(Target(1, None), option(160, 1, 8, 100)))
    assert "the quickest, 160 px, takes 8.0 ms; take a faster CPU" in slow
    assert "share the load between 5 such hosts" in recommendation(advice(Target(None, 400), option(160, 1, 8, 100)))


def test_the_table_of_kernels_has_the_name_to_force_each_and_its_label():
    kernels = [KernelTime("int8", "vnni", 2.0, True), KernelTime("int8", "avx2", 5.0, False)]
    told = msgspec.structs.replace(advice(Target(20, None), option(96, 1, 10, 100)), kernels=kernels)
    columns = [list(column.cells) for column in kernels_table(told).columns]
    assert columns[1:] == [["vnni", "avx2"], ["AVX-512 VNNI", "AVX2"], ["2.00", "5.00"], ["yes", ""]]
    assert "INT8 (AVX-512 VNNI, which the appliance chooses by itself)" in recommendation(told)
