from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

import benchmarks.commands.training.training
import benchmarks.contenders.photos
import benchmarks.measurements.training.training_time
from benchmarks.__main__ import main
from benchmarks.contenders.photos import drawn_dataset
from benchmarks.measurements.training.training_time import TrainingResult
from tests.support.photos import write_photos
from training.data.pixels import load_pixels
from training.data.prepare import prepare

TINY = ("--image-size", 32, "--epochs", 1, "--weights", "none")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["training", *map(str, arguments)])


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parallel steps this small are slower than serial ones, by far where other tests run beside them."""
    monkeypatch.setattr(benchmarks.measurements.training.training_time, "available_cpus", lambda: 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    prepare(write_photos(tmp_path / "raw", 12), tmp_path / "data")
    return tmp_path / "data"


def read(out: Path) -> TrainingResult:
    return msgspec.json.decode((out / "training.json").read_bytes(), type=TrainingResult)


def test_both_loops_run_to_the_end_and_are_compared(tmp_path: Path, data: Path):
    out = tmp_path / "out"
    ran = run("--data", data, "--repeat", 2, "--out", out, *TINY)
    assert ran.exit_code == 0, ran.output
    result = read(out)
    assert (result.epochs, result.image_size, result.photos, result.source) == (1, 32, 24, "prepared photos")
    assert len(result.plain_s) == len(result.ours_s) == 2
    assert min(result.plain_s + result.ours_s) > 0
    assert all(0 <= accuracy <= 1 for accuracy in result.plain_accuracy + result.ours_accuracy)
    assert result.ratio == pytest.approx(sum(result.ours_s) / sum(result.plain_s))  # of two, the median is the mean
    assert result.machine.packages["torch"]
    assert "(2 runs of each: no interval, that takes --repeat 6)" in ran.stdout
    assert ran.stdout.endswith(f"made {out / 'training.json'}\n")


def test_the_loops_take_turns_at_going_first(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    went: list[str] = []

    def stand_in(name: str):
        def loop(*_: object) -> benchmarks.measurements.training.training_time._Run:
            went.append(name)
            return benchmarks.measurements.training.training_time._Run({"plain": 4.0, "ours": 1.0}[name], 0.5)

        return loop

    monkeypatch.setattr(benchmarks.measurements.training.training_time, "_plain", stand_in("plain"))
    monkeypatch.setattr(benchmarks.measurements.training.training_time, "_ours", stand_in("ours"))
    ran = run("--data", data, "--repeat", 6, "--out", tmp_path)
    assert went[:4] == ["plain", "ours", "ours", "plain"]
    assert read(tmp_path).ratio == 0.25
    assert "ratio 0.25 (95 % interval 0.25 to 0.25)" in ran.stdout


def test_a_warm_pixel_cache_does_not_help_ours(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from training.data import pixels
    from training.data.dataset import Dataset

    load_pixels(Dataset.open(data), 32)  # the cache is warm
    load_pixels(Dataset.open(data), 37)
    decoded: list[int] = []

    def counted(*arguments):
        decoded.append(1)
        return real(*arguments)

    real = pixels.decode
    monkeypatch.setattr(pixels, "decode", counted)
    assert run("--data", data, "--out", tmp_path, *TINY).exit_code == 0
    assert len(decoded) >= 2 * 24  # every photo at both sizes


def test_a_missing_dataset_that_was_named_is_refused(tmp_path: Path):
    ran = run("--data", tmp_path / "none", "--out", tmp_path)
    assert ran.exit_code == 1
    assert ran.stderr.startswith(f"Error: {tmp_path / 'none' / 'manifest.json'}: No such file")
    assert ran.stderr.count("\n") == 1


def test_without_data_photos_are_drawn_and_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(benchmarks.commands.training.training, "DATA", tmp_path / "none")
    monkeypatch.setattr(benchmarks.contenders.photos, "PER_CLASS", 12)
    ran = run("--out", tmp_path, *TINY)
    assert ran.exit_code == 0, ran.output
    assert "24 drawn photos: their accuracy means nothing" in ran.stdout
    assert read(tmp_path).source.startswith("drawn photos")


def test_drawn_photos_all_pass_for_different_ones(tmp_path: Path):
    assert drawn_dataset(tmp_path).manifest.left_out == []


def test_weights_that_are_not_there_are_refused(data: Path, tmp_path: Path):
    ran = run("--data", data, "--weights", tmp_path / "none.pt", "--out", tmp_path)
    assert ran.exit_code == 1
    assert "--weights takes imagenet, none or the path of a file" in ran.stderr


def test_the_help_says_what_is_compared():
    ran = CliRunner().invoke(main, ["training", "--help"])
    assert ran.exit_code == 0
    assert "plain loop decodes each photo in each epoch" in " ".join(ran.output.split())
