"""Bundles with an unknown class: one more output, two thresholds, and a gate on what it costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from export.__main__ import main
from export.bundle.build import build
from export.bundle.evidence import drift_reference
from export.bundle.photos import calibration_rows
from export.gates.champion_challenger import compare
from export.gates.quality_gates import GateError, Limits, measure, require
from export.release.register import signature
from export.sweep.input_sizes import sweep
from runtime.bundle.manifest import MODEL, Bundle
from runtime.inference.backends import open_validated
from runtime.names import UNKNOWN
from training.data.dataset import Dataset
from training.data.pixels import load_pixels, truth
from training.data.public import is_public
from training.metrics.calibration import Thresholds
from training.metrics.scores import Predictions, predictions_from
from training.model.checkpoint import Checkpoint
from training.recipe import Recipe

EASY = Limits(min_accuracy=0.5, answered_precision=0.9, min_agreement=0.5)


@pytest.fixture(scope="module")
def bundle(
    unknown_checkpoint_file: Path, dataset_with_others: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    target = tmp_path_factory.mktemp("bundles") / "with-unknown"
    checkpoint = Checkpoint.load(unknown_checkpoint_file)
    return build(checkpoint, dataset_with_others, target, limits=EASY, say=lambda _: None)


@pytest.fixture(scope="module")
def plain(checkpoint_file: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One without that class."""
    target = tmp_path_factory.mktemp("bundles") / "plain"
    return build(Checkpoint.load(checkpoint_file), dataset, target, limits=EASY, say=lambda _: None)


def test_the_manifest_has_the_labels_alone_and_says_what_unknown_is(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.schema_version, manifest.labels) == (2, ["dandelion", "grass"])
    assert manifest.unknown is not None
    metrics = manifest.unknown.metrics
    assert metrics is not None
    assert (metrics.own_photos, metrics.other_photos, manifest.metrics.photos) == (8, 8, 8)
    assert 0 < manifest.unknown.threshold <= 1
    assert {len(case.probabilities) for case in manifest.golden} == {len(case.int8) for case in manifest.golden} == {3}
    assert set(manifest.reference.labels) == {"dandelion", "grass", UNKNOWN}
    assert sum(manifest.reference.labels.values()) == pytest.approx(1, abs=1e-4)
    assert "own_called_unknown" in {gate.name for gate in manifest.gates}


def test_the_graph_has_one_more_output_and_is_served(bundle: Bundle, dataset_with_others: Dataset) -> None:
    model = onnx.load(bundle.path / MODEL)
    assert [one.shape[1] for one in signature(model).outputs.inputs] == [3, 3]
    session = open_validated(bundle, threads=1).session
    found = session.infer(load_pixels(dataset_with_others, 64)[:4].copy())
    assert found.probabilities.shape == (4, 3)
    assert found.activation_map.shape == (4, 3, 2, 2)
    assert np.allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_bundle_without_other_photos_is_of_schema_1(plain: Bundle) -> None:
    assert (plain.manifest.schema_version, plain.manifest.unknown) == (1, None)
    assert "unknown" not in (plain.path / "manifest.json").read_text()
    assert {len(case.int8) for case in plain.manifest.golden} == {2}


def test_the_command_says_what_other_things_get(
    unknown_checkpoint_file: Path, dataset_with_others: Dataset, tmp_path: Path
) -> None:
    arguments = ["--checkpoint", str(unknown_checkpoint_file), "--data", str(dataset_with_others.path)]
    done = CliRunner().invoke(main, ["build", *arguments, "--out", str(tmp_path), "--min-accuracy", "0"])
    assert done.exit_code == 0, done.output
    assert "unknown from a probability of" in done.output
    assert "of 8 photos of the classes are; of 8 of other things" in done.output


def of_labels(called_unknown: int, photos: int = 100) -> Predictions:
    rows = [(0.0, 0.0, 1.0)] * called_unknown + [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)] * photos
    half = np.array([(row + called_unknown) % 2 for row in range(photos)])
    half[:called_unknown] = 0
    return predictions_from(["a", "b"], [""] * photos, half, np.array(rows[:photos], np.float32))


@pytest.mark.parametrize(("called", "passes"), [(0, True), (5, True), (9, True), (14, False)])
def test_a_model_that_calls_its_own_photos_unknown_is_refused(called: int, passes: bool) -> None:
    model = of_labels(called)
    gates = measure(
        parity=0.0,
        fp32=model,
        int8=model,
        thresholds=Thresholds(0.0, 0.5),
        limits=Limits(),
        trained=lambda _: (1, 1),
    )
    (gate,) = [gate for gate in gates if gate.name == "own_called_unknown"]
    assert (gate.value, gate.limit, gate.passed) == (called / 100, 0.05, passes)
    if not passes:
        with pytest.raises(GateError, match=r"own_called_unknown is 0\.14, must be at most 0\.05 .*fetch --no-other"):
            require([gate])


def test_agreement_is_of_answers_to_all_photos() -> None:
    fp32 = predictions_from(
        ["a", "b"], [""] * 4, np.array([0, 1, 2, 2]),
        np.array([(1, 0, 0), (0, 1, 0), (0.3, 0.1, 0.6), (0.3, 0.1, 0.6)], np.float32),
    )  # fmt: skip
    int8 = predictions_from(
        ["a", "b"], [""] * 4, np.array([0, 1, 2, 2]),
        np.array([(1, 0, 0), (0, 1, 0), (0.1, 0.3, 0.6), (0.6, 0.1, 0.3)], np.float32),
    )  # fmt: skip
    gates = measure(
        parity=0.0, fp32=fp32, int8=int8, thresholds=Thresholds(0.0, 0.5), limits=Limits(), trained=lambda _: (1, 1)
    )
    (agreement,) = [gate for gate in gates if gate.name == "agreement"]
    assert (agreement.value, agreement.about) == (0.75, "1 of 4 photos differ")
    assert {gate.about for gate in gates if gate.name == "balanced_accuracy"} == {"2 photos"}


def test_drift_is_told_by_answers_and_by_confidence_in_labels() -> None:
    found = predictions_from(
        ["a", "b"], [""] * 2, np.array([0, 1]), np.array([(0.75, 0.05, 0.2), (0.1, 0.1, 0.8)], np.float32)
    )
    reference = drift_reference(found, np.zeros((2, 32, 32, 3), np.uint8), Thresholds(0.0, 0.5))
    assert reference.labels == {"a": 0.5, "b": 0.0, UNKNOWN: 0.5}
    assert reference.confidence[7] == 1


def test_int8_is_calibrated_on_own_photos_and_a_share_of_others(dataset_with_others: Dataset) -> None:
    classes = truth(dataset_with_others)
    rows = np.arange(len(classes))
    chosen = calibration_rows(rows, classes, 2)
    assert set(classes[chosen]) == {0, 1, 2}
    many = np.repeat(rows, 20)
    counts = np.bincount(classes[calibration_rows(many, classes, 2)])
    assert counts.sum() == 128
    assert counts[2] == 43


def test_champion_and_challenger_are_compared_on_photos_of_the_labels(
    bundle: Bundle, plain: Bundle, dataset_with_others: Dataset
) -> None:
    verdict = compare(bundle, plain, dataset_with_others)
    assert verdict.photos == 8
    assert verdict.challenger_accuracy == pytest.approx(bundle.manifest.metrics.int8.accuracy)


def test_a_sweep_counts_photos_of_the_labels(dataset_with_others: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(image_size=32, epochs=1, weights="none", precision="fp32")
    result = sweep(dataset_with_others, recipe, [32], 2, tmp_path)
    assert result.photos == 40
    assert 0 <= result.sizes[0].agreement <= 1


def test_other_photos_do_not_make_another_data_set_of_the_public_one(
    dataset_with_others: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.data.listing import ListedPhoto, PhotoList

    own = dataset_with_others.of_classes().photos()
    recorded = PhotoList([ListedPhoto(f"x/{one.sha256}", one.sha256) for one in own])
    monkeypatch.setattr("training.data.public.read_list", lambda _: recorded)
    assert is_public(dataset_with_others)
