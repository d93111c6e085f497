from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.host.machine import this_machine
from benchmarks.measurements.inference.latency import BURST
from tests.support.models.bundles import write_bundle
from tests.support.photos import write_photos
from training.data.dataset import Dataset


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_latency_compares_the_contenders_and_keeps_its_samples(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1", size=64)
    photos = write_photos(tmp_path / "photos", 3)
    said = run("latency", "--bundle", str(bundle), "--photos", str(photos), "--rounds", "5", "--out", str(tmp_path))
    assert "the bundle is faster than the replaced stack" in said
    result = json.loads((tmp_path / "latency.json").read_text())
    assert result["photos"] == "6 of 6 photos of photos"
    assert {row["name"] for row in result["rows"]} == {"PyTorch FP32 (replaced)", "ONNX FP32", "bundle INT8"}
    assert {row["photos"] for row in result["rows"]} == {"photos", "12 megapixels"}
    for row in result["rows"]:
        assert len(row["samples_infer_ms"]) == (5 * BURST if row["photos"] == "photos" else 3)
        assert row["total"]["low"] <= row["total"]["value"] <= row["total"]["high"]
    assert (tmp_path / "latency.png").stat().st_size > 10_000


def test_latency_refuses_what_it_cannot_measure(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "v1")
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        (["--bundle", str(tmp_path / "nowhere")], "point at a bundle folder"),
        (["--bundle", str(bundle), "--photos", str(tmp_path / "empty")], "holds no JPEG photos"),
        (["--rounds", "2"], "--rounds"),
    ):
        done = CliRunner().invoke(main, ["latency", *arguments], env={"DANDELION_PHOTOS": None})
        assert done.exit_code != 0
        assert message in done.output


def test_training_is_timed_against_the_plain_loop(dataset: Dataset, tmp_path: Path) -> None:
    said = run(
        *("training", "--data", str(dataset.path), "--image-size", "32", "--epochs", "1"),
        *("--weights", "none", "--out", str(tmp_path)),
    )
    assert "ratio" in said
    result = json.loads((tmp_path / "training.json").read_text())
    assert result["ratio"] > 0
    assert result["photos"] == 40


def test_training_without_a_dataset_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["training", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert "python -m training prepare` first" in done.output


def test_the_machine_is_described() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.cores >= 1
    assert machine.packages["onnxruntime"]
