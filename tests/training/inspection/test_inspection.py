from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.support.photos import draw_photo, encode, photo, write_photos
from training.__main__ import main
from training.data.survey import survey
from training.inspection.advice import advice_on
from training.inspection.crossvalidation import Examples, probabilities_of
from training.inspection.findings import findings_of
from training.inspection.labels import confusions, suspects
from training.inspection.learning_curve import learning_curve
from training.inspection.page import write_page
from training.model.network import build


def examples(per_class: int, apart: float, wrong: int = 0, classes: int = 2) -> Examples:
    """Clouds of points, one a class; the first `wrong` of the first class lie in the second's cloud."""
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(classes), per_class)
    features = generator.normal(0, 1, (len(truth), 16)).astype(np.float32)
    shown = truth.copy()
    shown[:wrong] = 1
    features[np.arange(len(truth)), shown] += apart
    return Examples(features, truth, np.arange(len(truth)), [f"class {index}" for index in range(classes)])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet18 that has learned nothing: its features tell discs from blades all the same."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pt"
    torch.save(build(2).state_dict(), file)
    return file


def run(*words: object) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def test_photos_under_the_wrong_label_are_found_worst_first() -> None:
    case = examples(40, apart=6, wrong=3)
    found = suspects(probabilities_of(case), case.truth, case.labels)
    assert {one.row for one in found} == {0, 1, 2}
    assert {one.looks_like for one in found} == {"class 1"}
    assert [one.sure for one in found] == sorted((one.sure for one in found), reverse=True)


def test_confused_classes_are_named_most_photos_first() -> None:
    found = confusions(np.array([[8, 2, 0], [0, 9, 1], [0, 5, 5]]), ["a", "b", "c"])
    assert [(one.label, one.said, one.photos, one.share) for one in found] == [
        ("c", "b", 5, 0.5),
        ("a", "b", 2, 0.2),
        ("b", "c", 1, 0.1),
    ]


def test_the_learning_curve_rises_and_goes_on_to_twice_as_many() -> None:
    curve = learning_curve(examples(60, apart=2, classes=3))
    assert curve is not None
    assert curve.measured[-1].accuracy > curve.measured[0].accuracy
    assert all(point.low <= point.accuracy <= point.high for point in curve.measured)
    assert curve.twice.photos == pytest.approx(2 * curve.measured[-1].photos, abs=1)
    assert curve.twice.accuracy >= curve.measured[-1].accuracy - 0.02
    assert learning_curve(examples(3, apart=2)) is None


def test_the_page_tells_everything_about_a_folder_and_the_terminal_the_advice(tmp_path: Path, weights: Path) -> None:
    raw = write_photos(tmp_path / "my photos", 12)
    write_photos(raw, 1, labels=("moss",))
    (raw / "grass" / "2024").mkdir()
    (raw / "grass" / "2024" / "deep.jpg").write_bytes(photo("grass", 50))
    (raw / "grass" / "dandelion.jpg").write_bytes(photo("dandelion", 60))
    (raw / "grass" / "text.jpg").write_text("no photo")
    (raw / "grass" / "same.jpg").write_bytes(photo("dandelion", 2))
    (raw / "grass" / "again.jpg").write_bytes(encode(draw_photo("grass", 3), quality=40))
    out = tmp_path / "page.html"
    said = run("inspect", raw, "--out", out, "--weights", weights)
    assert "1 picture under two classes: decide which is right" in said
    assert "3 files left out: see why" in said
    assert "Too small to train on: moss (1)" in said
    assert "grass: 15 photos, 14 different" in said
    assert f"make train SOURCE='{raw}'" in said
    page = out.read_text()
    for words in ("neither is trained on", "grass/text.jpg", "too small", "Accuracy by number"):
        assert words in page, words
    assert page.count("<script") == 0
    assert "http" not in page.replace("http://www.w3.org", "")


def test_without_weights_the_page_says_what_it_leaves_out(tmp_path: Path) -> None:
    raw = write_photos(tmp_path / "raw", 6)
    out = tmp_path / "page.html"
    said = run("inspect", raw, "--out", out, "--weights", "none")
    assert "not checked: it needs pretrained weights, and --weights none asks for none" in said
    assert "Not computed: it needs pretrained weights" in out.read_text()


def test_weights_that_cannot_be_downloaded_are_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    raw = write_photos(tmp_path / "raw", 6)
    findings = findings_of(survey(raw), weights="imagenet", cache=tmp_path / "cache")
    assert findings.model is None
    assert "weights could not be downloaded" in str(findings.without_model)


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        (("grass",), "Only one class: add another"),
        (("grass", "moss"), "Too small to train on: moss (0)"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_gets_an_honest_page(
    tmp_path: Path, weights: Path, labels: tuple[str, ...], advice: str
) -> None:
    raw = write_photos(tmp_path / "raw", 6, labels=labels[:1])
    for label in labels:
        (raw / label).mkdir(exist_ok=True)
    findings = findings_of(survey(raw), weights=str(weights), cache=tmp_path / "cache")
    assert advice in [one.short for one in advice_on(findings)]
    assert "Not computed: it takes two classes" in write_page(findings, tmp_path / "page.html").read_text()


def test_a_folder_that_is_none_or_has_no_classes_is_refused(tmp_path: Path) -> None:
    for folder, message in ((tmp_path / "nowhere", "is not a folder"), (tmp_path, "no class folders")):
        done = CliRunner().invoke(main, ["inspect", str(folder)])
        assert done.exit_code == 1
        assert message in done.output


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_text("no weights")
    raw = write_photos(tmp_path / "raw", 6)
    done = CliRunner().invoke(main, ["inspect", str(raw), "--weights", str(tmp_path / "weights.pt")])
    assert done.exit_code == 1
    assert "is not a PyTorch state dict" in done.output


def test_features_are_computed_once_and_anew_when_the_photos_change(tmp_path: Path, weights: Path) -> None:
    raw, cache = write_photos(tmp_path / "raw", 6), tmp_path / "cache"
    findings_of(survey(raw), weights=str(weights), cache=cache)
    (kept,) = cache.iterdir()
    written = kept.stat().st_mtime_ns
    findings_of(survey(raw), weights=str(weights), cache=cache)
    assert kept.stat().st_mtime_ns == written
    (raw / "grass" / "0000.jpg").unlink()
    findings_of(survey(raw), weights=str(weights), cache=cache)
    assert [file.name for file in cache.iterdir()] != [kept.name]


def test_prepare_inspects_too_unless_told_not_to(tmp_path: Path, weights: Path) -> None:
    raw, page = write_photos(tmp_path / "raw", 6), tmp_path / "page.html"
    words = ("prepare", "--raw", raw, "--out", tmp_path / "processed", "--report", page, "--weights", weights)
    assert "1." in run(*words)
    assert page.exists()
    page.unlink()
    assert "1." not in run(*words, "--no-inspect")
    assert not page.exists()


def test_the_real_photos_are_inspected(tmp_path: Path) -> None:
    folder = os.environ.get("DANDELION_PHOTOS")
    if folder is None or not os.environ.get("THOROUGH"):
        pytest.skip("set DANDELION_PHOTOS to a folder of the real photos, and THOROUGH=1")
    findings = findings_of(survey(Path(folder)), weights="imagenet", cache=tmp_path)
    assert findings.model is not None
    assert findings.model.accuracy > 0.9
    assert findings.model.curve is not None
