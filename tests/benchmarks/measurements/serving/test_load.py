from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from benchmarks.__main__ import main
from benchmarks.load_generator.plans import Burst
from benchmarks.measurements.serving.load import ALL_THREADS, ONE_THREAD, LoadResult, Overload
from tests.support.models.bundles import write_bundle
from tests.support.photos import write_photos


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["load", *map(str, arguments)])


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("load")
    bundles = [write_bundle(folder / "small"), write_bundle(folder / "large", size=224)]
    photos = write_photos(folder / "photos", 2)
    chosen = [part for bundle in bundles for part in ("--bundle", bundle)]
    pressed = ("--overload", 4, "--overload-s", 1)
    out = folder / "out"
    return out, run(*chosen, "--photos", photos, "--rounds", 2, "--seconds", 1, *pressed, "--form", "--out", out)


@pytest.fixture
def result(measured: tuple[Path, Result]) -> LoadResult:
    out, ran = measured
    assert ran.exit_code == 0, ran.output
    return msgspec.json.decode((out / "load.json").read_bytes(), type=LoadResult)


def test_every_bundle_is_loaded_closed_and_open(result: LoadResult):
    assert [served.image_size for served in result.served] == [32, 224]
    for served in result.served:
        assert [point.clients for point in served.points] == [1, 4, 16, 64, None, None]
        assert [point.arrivals_per_s is None for point in served.points] == [True] * 4 + [False] * 2
        assert served.points[4].arrivals_per_s < served.points[5].arrivals_per_s


def test_every_answer_is_counted_and_the_server_tells_its_stages(result: LoadResult):
    for served in result.served:
        for point in served.points:
            assert len(point.bursts) == result.rounds == 2
            assert sum(point.statuses.values()) == sum(len(burst.status) for burst in point.bursts)
            assert set(point.statuses) <= {"200", "503"}
            assert {"decode", "infer", "total"} <= set(point.stages_ms)
            p50s = [burst.quantile_ms(0.5) for burst in point.bursts]
            assert 0 < min(p50s) <= point.p95_ms <= point.p99_ms
            assert point.generator_cores > 0


def test_the_figures_are_ratios_of_the_same_rounds(result: LoadResult):
    for served in result.served:
        assert set(served.in_process_ms) == {ONE_THREAD, ALL_THREADS}
        alone, busy, *_ = served.goals
        p50s = [burst.quantile_ms(0.5) for burst in served.points[0].bursts]
        assert alone.estimate.value == pytest.approx(np.median(p50s) / np.median(served.in_process_ms[ALL_THREADS]))
        assert busy.limit == (0.85 if served.image_size == 224 else 0.75)
        assert alone.samples == 2


def test_the_overload_is_judged_answer_by_answer(result: LoadResult):
    for served in result.served:
        assert served.overload.times == 4
        assert served.overload.unexpected == 0
        assert len(served.overload.p50_after_ms) == 2
        assert len(served.goals) == 5


def test_the_command_says_what_it_found_and_made(measured: tuple[Path, Result]):
    out, ran = measured
    assert "too few rounds" in ran.stdout or "other programs used the cores" in ran.stdout
    assert "16 clients" in ran.stdout
    assert ran.stdout.endswith(f"made {out / 'load.json'} and {out / 'load.png'}\n")
    assert (out / "load.png").stat().st_size > 10_000


def test_an_answer_without_retry_after_is_unexpected():
    burst = Burst([1.0] * 4, [0.0] * 4, [200, 503, 503, 0], [0] * 4, [False, True, False, False], [], {}, 0, 1, 1)
    assert Overload(4, 100, 1, 1000, [1.0], [1.0], burst).unexpected == 2


def test_what_cannot_be_measured_is_refused(tmp_path: Path):
    assert run("--bundle", tmp_path / "none").exit_code == 1
    bundle = write_bundle(tmp_path / "v1")
    missing = run("--bundle", bundle, "--photos", tmp_path / "none")
    assert "is not a folder; name a folder of JPEG photos" in missing.stderr
    (tmp_path / "file").touch()
    assert "choose another folder" in run("--bundle", bundle, "--out", tmp_path / "file" / "out").stderr
    assert run("--rounds", 1).exit_code == 2
