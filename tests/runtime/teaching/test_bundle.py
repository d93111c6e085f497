from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest

from runtime.bundle.golden_patterns import draw
from runtime.bundle.manifest import MODEL, Bundle
from runtime.inference import native_head
from runtime.inference.backends import NATIVE, golden_deviation, int8_kernels, open_model, open_validated
from runtime.inference.onnxruntime_session import OnnxruntimeSession
from runtime.registry.bundle_writer import WriteError
from runtime.teaching.backbone import Backbone, FeatureExtractor
from runtime.teaching.bundle import Identity, version_of, write_bundle
from runtime.teaching.examples import Examples
from runtime.teaching.teach import Lesson, teach
from tests.runtime.native.models import claiming

LABELS = ["blotches", "discs", "blades"]
SEEDS = range(100, 112)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone.open()


@pytest.fixture(scope="module")
def extractor(backbone: Backbone) -> FeatureExtractor:
    return backbone.extractor(threads=1)


@pytest.fixture(scope="module")
def examples(backbone: Backbone, extractor: FeatureExtractor) -> Examples:
    drawn = [(label, draw(label, seed, backbone.spec)) for label in LABELS for seed in SEEDS]
    pixels = np.stack([picture for _, picture in drawn])
    views = [extractor.features(pixels), extractor.features(np.ascontiguousarray(pixels[:, :, ::-1]))]
    return Examples(
        LABELS,
        [f"{index:064x}" for index in range(len(drawn))],
        np.array([LABELS.index(label) for label, _ in drawn]),
        np.stack(views, axis=1),
        pixels.mean(axis=(1, 2, 3), dtype=np.float32) / 255,
    )


@pytest.fixture(scope="module")
def lesson(backbone: Backbone, examples: Examples) -> Lesson:
    return teach(examples, backbone.others_for(LABELS), backbone.scale)


@pytest.fixture(scope="module")
def bundle(lesson: Lesson, backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_bundle(lesson, backbone, tmp_path_factory.mktemp("bundles") / "v1", Identity("shapes"))


def test_a_taught_bundle_answers_pictures_that_it_has_not_seen(bundle: Bundle) -> None:
    session = open_validated(bundle, threads=1).session
    for index, label in enumerate(LABELS):
        unseen = np.stack([draw(label, seed, bundle.manifest.input) for seed in range(200, 208)])
        answers = session.infer(unseen).probabilities
        assert (answers[:, : len(LABELS)].argmax(axis=1) == index).all(), label


@pytest.mark.thorough
def test_a_taught_bundle_is_served_alike_by_every_kernel_and_by_plain_onnxruntime(bundle: Bundle) -> None:
    manifest = bundle.manifest
    onnx.checker.check_model(onnx.load(bundle.model), full_check=True)
    picture = draw("discs", 7, manifest.input)[np.newaxis]
    plain = OnnxruntimeSession(bundle.model, manifest.input, manifest.outputs, threads=1, exact=True)
    expected = plain.infer(picture).probabilities
    for kernel in int8_kernels():
        if kernel.kernel == "fast":  # which saturates on some processors, and is tried before it serves
            continue
        session = open_model(bundle.model, kernel, manifest.input, manifest.outputs, threads=1)
        assert np.abs(session.infer(picture).probabilities - expected).max() < 1e-5
        deviation = golden_deviation(session, manifest.golden, manifest.input)
        assert deviation == 0 if kernel.kernel in NATIVE else deviation < 1e-5, kernel


def test_the_manifest_says_what_it_was_taught_on(bundle: Bundle, backbone: Backbone, lesson: Lesson) -> None:
    manifest = bundle.manifest
    assert manifest.taught
    assert manifest.taught.photos == dict.fromkeys(LABELS, len(SEEDS))
    assert manifest.taught.backbone_sha256 == backbone.sha256
    assert manifest.labels == LABELS
    assert manifest.unknown
    assert manifest.unknown.threshold == lesson.unknown_threshold
    assert manifest.metrics.int8.accuracy == pytest.approx(lesson.report.accuracy)
    assert len(manifest.reference.labels) == len(LABELS) + 1
    assert sum(manifest.reference.labels.values()) == pytest.approx(1, abs=1e-4)
    assert all(gate.passed for gate in manifest.gates)


def test_golden_cases_are_what_int8_and_fp32_answer(bundle: Bundle) -> None:
    differences = [np.abs(np.array(case.int8) - np.array(case.probabilities)).max() for case in bundle.manifest.golden]
    assert 0 < max(differences) < 0.2


@pytest.mark.parametrize("reason", ["earlier backbone", "no kernel", "wrong kernel"])
def test_where_the_kernel_does_not_record_the_golden_cases_have_six_decimals(
    reason: str, lesson: Lesson, backbone: Backbone, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "earlier backbone":
        backbone = replace(backbone, golden_maps=None)
    else:
        broken = claiming("sse4")._replace(run=lambda job, pool: 0)  # computes nothing
        monkeypatch.setattr(native_head, "library", lambda: broken if reason == "wrong kernel" else None)
    found, native = write_bundle(lesson, backbone, tmp_path / "v1", Identity("shapes")), bundle
    for case, known in zip(found.manifest.golden, native.manifest.golden, strict=True):
        assert case.int8 == [round(each, 6) for each in case.int8]
        assert np.abs(np.subtract(case.int8, known.int8)).max() < 1e-5


def test_a_taught_bundle_without_other_things_has_no_unknown_class(
    examples: Examples, backbone: Backbone, tmp_path: Path
) -> None:
    bundle = write_bundle(teach(examples, None, backbone.scale), backbone, tmp_path / "v1", Identity("shapes"))
    assert bundle.manifest.unknown is None
    assert bundle.manifest.outputs == len(LABELS)
    assert open_validated(bundle, threads=1).session.infer(draw("discs", 1, bundle.manifest.input)[np.newaxis])


def test_versions_sort_by_time_and_tell_heads_apart(lesson: Lesson) -> None:
    first = version_of(lesson, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert first.startswith("20260102-030405-")
    assert first < version_of(lesson, datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC))


def test_a_version_never_changes(bundle: Bundle, lesson: Lesson, backbone: Backbone) -> None:
    with pytest.raises(WriteError, match="is there already, and a version never changes"):
        write_bundle(lesson, backbone, bundle.path, Identity("shapes"))
    assert (bundle.path / MODEL).is_file()
