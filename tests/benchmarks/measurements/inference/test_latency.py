import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import benchmarks.measurements.inference.latency
from benchmarks.__main__ import main
from benchmarks.contenders.photos import MOST, PHONE, THUMBNAIL, draw_jpeg, load_photos
from benchmarks.measurements.inference.latency import BURST, FP32, INT8, PHONE_PHOTO, PHOTOS, REPLACED, LatencyResult
from benchmarks.statistics.samples import FEWEST, FEWEST_P95
from tests.support.models.bundles import write_bundle
from tests.support.photos import write_photos

ROUNDS = FEWEST

# torch's exporter makes the FP32 contender; its own deprecations are not ours.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning", "ignore::DeprecationWarning:torch.*")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["latency", *map(str, arguments)])


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("latency")
    bundle = write_bundle(folder / "small")
    photos = write_photos(folder / "photos", 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarks.measurements.inference.latency, "PHONE", (400, 300))
        out = folder / "out"
        return out, run("--bundle", bundle, "--photos", photos, "--rounds", ROUNDS, "--out", out)


@pytest.fixture
def result(measured: tuple[Path, Result]) -> LatencyResult:
    out, ran = measured
    assert ran.exit_code == 0, ran.output
    return msgspec.json.decode((out / "latency.json").read_bytes(), type=LatencyResult)


def test_every_contender_is_measured_with_one_thread_and_all_on_both_kinds_of_photo(result: LatencyResult):
    threads = {1, result.machine.cores}
    expected = {(kind, n, name) for kind in (PHOTOS, PHONE_PHOTO) for n in threads for name in (REPLACED, FP32, INT8)}
    assert {(row.photos, row.threads, row.name) for row in result.rows} == expected


def test_raw_samples_are_kept_and_give_the_figures_again(result: LatencyResult):
    for row in result.rows:
        samples = ROUNDS * BURST if row.photos == PHOTOS else 3
        assert len(row.samples_decode_ms) == len(row.samples_infer_ms) == samples
        assert np.median(row.totals_ms) == pytest.approx(row.total.value, abs=0.001)
        assert row.total.low <= row.total.value <= row.total.high
        assert min(row.samples_decode_ms + row.samples_infer_ms) > 0
        assert (row.p95_ms is None) is (samples < FEWEST_P95)


def test_the_headline_is_against_the_replaced_stack_at_its_best(result: LatencyResult):
    replaced = [row for row in result.rows if row.name == REPLACED and row.photos == PHOTOS]
    (ours,) = (
        row for row in result.rows if (row.name, row.photos, row.threads) == (INT8, PHOTOS, result.machine.cores)
    )
    best = min(replaced, key=lambda row: row.total.value)
    assert result.replaced_threads == best.threads
    assert result.speedup.value == pytest.approx(best.total.value / ours.total.value, rel=0.01)


def test_the_result_names_the_machine_the_photos_and_the_sizes(result: LatencyResult):
    assert result.machine.cpu
    assert result.machine.memory_gb > 0
    assert {"numpy", "onnxruntime", "pillow", "torch"} <= result.machine.packages.keys()
    assert result.neighbours.wanted_cores == result.machine.cores
    assert result.photos == "4 of 4 photos of photos"
    assert {row.image_size for row in result.rows if row.name == REPLACED} == {224}
    assert {row.image_size for row in result.rows if row.name != REPLACED} == {32}


def test_the_json_goes_round(measured: tuple[Path, Result], result: LatencyResult):
    assert msgspec.json.decode(msgspec.json.encode(result), type=LatencyResult) == result
    assert "/" not in result.photos + result.bundle


def test_the_command_ends_by_saying_what_it_found_and_made(measured: tuple[Path, Result]):
    out, ran = measured
    assert "32 px: the bundle is faster than the replaced stack at its best" in ran.stdout
    assert ran.stdout.endswith(f"made {out / 'latency.json'} and {out / 'latency.png'}\n")
    with Image.open(out / "latency.png") as plot:
        assert plot.width > plot.height


def test_a_missing_photo_folder_is_refused_in_one_line(tmp_path: Path):
    ran = run("--bundle", write_bundle(tmp_path / "b"), "--photos", tmp_path / "none")
    assert ran.exit_code == 1
    assert ran.stderr == f"Error: {tmp_path / 'none'}: is not a folder; name a folder of JPEG photos with --photos\n"


def test_a_folder_without_photos_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("none here")
    ran = run("--bundle", write_bundle(tmp_path / "b"), "--photos", tmp_path)
    assert ran.exit_code == 1
    assert "holds no JPEG photos" in ran.stderr


def test_a_broken_photo_is_named_before_anything_is_measured(tmp_path: Path):
    photos = write_photos(tmp_path / "photos", 1)
    (photos / "broken.jpg").write_bytes((photos / "grass" / "0000.jpg").read_bytes()[:300])
    ran = run("--bundle", write_bundle(tmp_path / "b"), "--photos", photos)
    assert ran.exit_code == 1
    assert ran.stderr.startswith(f"Error: {photos / 'broken.jpg'}: the photo is broken")


def test_an_unreadable_bundle_is_refused(tmp_path: Path):
    ran = run("--bundle", tmp_path)
    assert ran.exit_code == 1
    assert ran.stderr.startswith(f"Error: {tmp_path / 'manifest.json'}: No such file")


def test_too_few_rounds_are_refused(tmp_path: Path):
    ran = run("--bundle", tmp_path, "--rounds", 4)
    assert ran.exit_code == 2
    assert "4 is not in the range x>=5" in ran.stderr


def test_a_place_that_cannot_be_written_is_refused_before_the_measurement(tmp_path: Path):
    (tmp_path / "file").touch()
    ran = run("--bundle", write_bundle(tmp_path / "b"), "--out", tmp_path / "file" / "out")
    assert ran.exit_code == 1
    assert "choose another folder with --out" in ran.stderr


def test_drawn_photos_are_jpegs_of_the_promised_size():
    for size in (THUMBNAIL, PHONE):
        with Image.open(io.BytesIO(draw_jpeg(size, 0))) as image:
            assert (image.format, image.size) == ("JPEG", size)


def test_without_a_folder_photos_are_drawn_and_said_to_be():
    photos, source = load_photos(None)
    assert len(set(photos)) == 16
    assert source == "16 drawn photos of 275 x 183 px"


def test_of_many_photos_some_of_all_the_folder_are_taken(tmp_path: Path):
    for number in range(2 * MOST):
        (tmp_path / f"{number:03}.jpg").write_bytes(draw_jpeg((40, 30), number))
    photos, source = load_photos(tmp_path)
    assert len(photos) == MOST
    assert source == f"{MOST} of {2 * MOST} photos of {tmp_path.name}"
    assert photos[-1] == (tmp_path / f"{2 * MOST - 2:03}.jpg").read_bytes()
