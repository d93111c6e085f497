from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import (
    MANIFEST,
    MODEL,
    Bundle,
    BundleError,
    Manifest,
    Unknown,
    UnknownMetrics,
    describe_file,
    parse_manifest,
    to_json,
)
from runtime.image import ImageSpec
from runtime.inference.backends import golden_deviation, open_validated
from runtime.inference.onnxruntime_session import PROBABILITIES
from runtime.names import UNKNOWN
from tests.support.models.bundles import UNKNOWN_FROM_HALF, change_manifest, write_bundle, write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "v1")


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = msgspec.json.decode((folder / MANIFEST).read_bytes())
    return manifest


def rehash(folder: Path) -> None:
    change_manifest(folder, files={MODEL: msgspec.to_builtins(describe_file(folder / MODEL))})


def test_a_valid_bundle_opens_and_answers(folder: Path) -> None:
    bundle = Bundle.open(folder)
    session = open_validated(bundle, threads=1).session
    yellow = np.full((3, 32, 32, 3), (240, 200, 20), np.uint8)
    inference = session.infer(yellow)
    assert inference.probabilities.shape == (3, 2)
    assert inference.activation_map.shape == (3, 2, 32, 32)
    assert (inference.probabilities.argmax(axis=1) == 0).all()
    assert golden_deviation(session, bundle.manifest.golden, bundle.manifest.input) < 1e-6


def test_the_default_bundle_is_intact_small_and_answers_its_golden_cases() -> None:
    bundle = Bundle.open(default_bundle())
    assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= 12e6
    assert all(gate.passed for gate in bundle.manifest.gates)
    assert bundle.manifest.unknown is not None
    assert all(case.int8 for case in bundle.manifest.golden)
    assert open_validated(bundle, threads=1).kernel.deviation < 1e-3


@pytest.fixture
def open_set(tmp_path: Path) -> Path:
    """A bundle with the unknown class."""
    return write_bundle(tmp_path / "v2", unknown=UNKNOWN_FROM_HALF)


def test_a_bundle_with_the_unknown_class_is_of_schema_2_and_has_one_output_more(open_set: Path) -> None:
    bundle = Bundle.open(open_set)
    manifest = bundle.manifest
    assert (manifest.schema_version, manifest.unknown) == (2, Unknown(threshold=0.5))
    assert (manifest.labels, manifest.classes) == (["dandelion", "grass"], ["dandelion", "grass", UNKNOWN])
    assert all(len(case.int8) == len(case.probabilities) == manifest.outputs == 3 for case in manifest.golden)
    inference = open_validated(bundle, threads=1).session.infer(np.zeros((2, 32, 32, 3), np.uint8))
    assert inference.probabilities.shape == (2, 3)
    assert inference.activation_map.shape == (2, 3, 32, 32)


def test_a_bundle_without_it_is_written_as_ever(folder: Path) -> None:
    manifest = Bundle.open(folder).manifest
    assert (manifest.schema_version, manifest.unknown, manifest.outputs) == (1, None, 2)
    assert b"unknown" not in to_json(manifest)
    default = (default_bundle() / MANIFEST).read_bytes()
    assert to_json(parse_manifest(default, origin="the default bundle")) == default


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 1}, "schema version 1 has no key `unknown`"),
        ({"schema_version": 3}, "schema version 3 lacks the key `taught`"),
        ({"unknown": None}, "schema version 2 lacks the key `unknown`"),
        ({"unknown": {}}, r"`threshold`.*\$\.unknown"),
        ({"unknown": {"threshold": 1.5}}, r"<= 1.0 - at `\$\.unknown\.threshold`"),
        ({"unknown": UNKNOWN_FROM_HALF | {"surprise": 1}}, r"unknown field `surprise` - at `\$\.unknown`"),
        ({"unknown": UNKNOWN_FROM_HALF | {"metrics": {"own_photos": 3}}}, r"`own_called_unknown`.*unknown\.metrics"),
        (
            {"golden": [{"pattern": "noise", "seed": 1, "probabilities": [0.5, 0.5], "int8": [0.5, 0.5]}]},
            "golden case has 2 probabilities for 2 labels and the unknown class; export",
        ),
    ],
)
def test_an_unknown_class_that_is_not_whole_is_refused(open_set: Path, changes: dict[str, Any], message: str) -> None:
    change_manifest(open_set, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle.open(open_set)


TAUGHT = {
    "backbone": "b1",
    "backbone_sha256": "0" * 64,
    "photos": {"dandelion": 9, "grass": 7},
    "folds": 5,
    "interval": [0.8, 0.9],
}


def test_a_taught_bundle_has_no_figures_of_fp32_and_says_what_it_learned_from(folder: Path) -> None:
    metrics = manifest_of(folder)["metrics"] | {"fp32": None, "agreement": None}
    change_manifest(folder, schema_version=3, taught=TAUGHT, metrics=metrics)
    manifest = Bundle.open(folder).manifest
    assert manifest.taught
    assert (manifest.taught.photos, manifest.taught.interval) == ({"dandelion": 9, "grass": 7}, (0.8, 0.9))
    assert manifest.metrics.fp32 is manifest.metrics.agreement is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taught": TAUGHT}, "schema version 1 has no key `taught`"),
        ({"schema_version": 3}, "schema version 3 lacks the key `taught`"),
        ({"schema_version": 3, "taught": TAUGHT | {"folds": 1}}, r">= 2 - at `\$\.taught\.folds`"),
        ({"schema_version": 3, "taught": TAUGHT | {"backbone": "../b"}}, r"lead out .*\$\.taught\.backbone"),
    ],
)
def test_a_taught_bundle_that_is_not_whole_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_manifest(folder, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle.open(folder)


def test_a_bundle_that_was_not_taught_has_figures_of_fp32(folder: Path) -> None:
    change_manifest(folder, metrics=manifest_of(folder)["metrics"] | {"fp32": None})
    with pytest.raises(BundleError, match="`metrics` lacks figures of FP32; export the bundle again"):
        Bundle.open(folder)


def test_what_was_measured_of_the_unknown_class_can_be_told(open_set: Path) -> None:
    metrics = {"own_photos": 80, "own_called_unknown": 0.01, "other_photos": 40, "other_answered_with_certainty": 0.05}
    change_manifest(open_set, unknown=UNKNOWN_FROM_HALF | {"metrics": metrics})
    manifest = Bundle.open(open_set).manifest
    assert manifest.unknown == Unknown(threshold=0.5, metrics=UnknownMetrics(**metrics))
    assert parse_manifest(to_json(manifest), origin="again") == manifest


@pytest.mark.parametrize("classes", [2, 4])
def test_a_model_without_the_output_of_the_unknown_class_is_refused(open_set: Path, classes: int) -> None:
    write_model(open_set / MODEL, classes=classes)
    rehash(open_set)
    with pytest.raises(BundleError, match=r"its outputs are .*the manifest says 3; export the bundle again"):
        open_validated(Bundle.open(open_set), threads=1)


@pytest.mark.parametrize("key", [field.name for field in msgspec.structs.fields(Manifest) if field.required])
def test_a_manifest_without_one_of_its_keys_is_refused(folder: Path, key: str) -> None:
    manifest = manifest_of(folder)
    del manifest[key]
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BundleError, match=f"`{key}`.*export the bundle again"):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, "schema version 99, this runtime reads 1 to 3; export .* with the matching release"),
        ({"schema_version": 2}, "schema version 2 lacks the key `unknown`"),
        ({"unknown": UNKNOWN_FROM_HALF}, "schema version 1 has no key `unknown`"),
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"labels": ["alone"]}, "labels"),
        ({"labels": ["a", "b", "c"]}, "golden case has 2 probabilities for 3 labels"),
        (
            {"golden": [{"pattern": "noise", "seed": 1, "probabilities": [0.5, 0.5], "int8": [1.0]}]},
            "golden case has 1 probabilities for 2 labels",
        ),
        ({"labels": ["a", "a"]}, "a label occurs twice"),
        ({"labels": ["\u00e9", "e\u0301"]}, "a label occurs twice"),
        ({"labels": ["a", "(unknown)"]}, r"the label '\(unknown\)' is reserved for photos of none .*; rename it"),
        ({"labels": ["(UnKnown)", "b"]}, r"the label '\(UnKnown\)' is reserved"),
        ({"golden": [{"pattern": "noise", "seed": -1, "probabilities": [0.5, 0.5], "int8": [0.5, 0.5]}]}, "seed"),
        ({"input": {"height": 32, "width": 32, "resize": "crop"}}, r"input\.resize"),
        ({"input": {"height": 1025, "width": 32}}, r"<= 1024 - at `\$\.input\.height`; export the bundle again"),
        ({"input": {"height": 32, "width": 1025}}, r"<= 1024 - at `\$\.input\.width`; export the bundle again"),
        ({"input": {"height": 0, "width": 32}}, r">= 1 - at `\$\.input\.height`"),
        ({"golden": []}, "golden"),
        ({"version": "../up"}, "version"),
        ({"version": "1\n"}, "version"),
        ({"abstain_threshold": 1.5}, "abstain_threshold"),
        ({"files": {}}, "does not list model.onnx"),
    ],
)
def test_a_manifest_with_a_wrong_value_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    change_manifest(folder, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle.open(folder)


@pytest.mark.parametrize(
    ("part", "key"),
    [("input", "height"), ("metrics", "int8"), ("dataset", "sha256"), ("files", "size_bytes"), ("golden", "seed")],
)
def test_a_manifest_without_a_key_further_in_is_refused(folder: Path, part: str, key: str) -> None:
    manifest = manifest_of(folder)
    inner = {"files": lambda: manifest["files"][MODEL], "golden": lambda: manifest["golden"][0]}
    del inner.get(part, lambda: manifest[part])()[key]
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    with pytest.raises(BundleError, match=f"`{key}`.*{part}"):
        Bundle.open(folder)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", "..", "a\\b", ""])
def test_a_file_name_that_leaves_the_bundle_is_refused(folder: Path, name: str) -> None:
    entry = msgspec.to_builtins(describe_file(folder / MODEL))
    change_manifest(folder, files={MODEL: entry, name: entry})
    with pytest.raises(BundleError, match=r"manifest\.json: not a plain name .*\$\.files"):
        Bundle.open(folder)


def test_a_link_in_a_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / MODEL).rename(tmp_path / "elsewhere.onnx")
    (folder / MODEL).symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match=r"model\.onnx: is not a plain file"):
        Bundle.open(folder)


def test_a_missing_manifest_or_folder_is_refused(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    for path in (folder, folder / "nowhere"):
        with pytest.raises(BundleError, match=r"manifest\.json: No such file.*point at a bundle folder"):
            Bundle.open(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"schema_version": 1, "name": "\xff"}',
        b'{"schema_version": 1, "labels": ' + b"[" * 100_000,
    ],
    ids=["empty", "cut off", "list", "null", "binary", "not UTF-8", "very deep"],
)
def test_a_manifest_that_is_not_a_json_object_is_refused(folder: Path, data: bytes) -> None:
    (folder / MANIFEST).write_bytes(data)
    with pytest.raises(BundleError, match=r"manifest\.json: .*; export the bundle again"):
        Bundle.open(folder)


def test_a_missing_model_is_refused(folder: Path) -> None:
    (folder / MODEL).unlink()
    with pytest.raises(BundleError, match=r"model\.onnx: No such file.*fetch the bundle again"):
        Bundle.open(folder)


def test_a_model_of_another_size_is_refused(folder: Path) -> None:
    with (folder / MODEL).open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match=r"bytes, the manifest says .*fetch the bundle again"):
        Bundle.open(folder)


def test_a_model_with_one_changed_byte_is_refused(folder: Path) -> None:
    data = bytearray((folder / MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / MODEL).write_bytes(data)
    with pytest.raises(BundleError, match=r"sha256 is .*…, the manifest says .*…; fetch the bundle again"):
        Bundle.open(folder)


def test_a_file_that_is_no_onnx_model_is_refused(folder: Path) -> None:
    (folder / MODEL).write_bytes(b"not a model")
    rehash(folder)
    with pytest.raises(BundleError, match="onnxruntime cannot load it"):
        open_validated(Bundle.open(folder), threads=1)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"size": 48}, "its input is .*48"),
        ({"dtype": TensorProto.FLOAT}, "its input is .*float"),
        ({"classes": 3}, "its outputs are .*the manifest says 2"),
    ],
)
def test_a_model_whose_signature_is_not_the_manifests_is_refused(
    folder: Path, model: dict[str, Any], message: str
) -> None:
    write_model(folder / MODEL, **model)
    rehash(folder)
    with pytest.raises(BundleError, match=message):
        open_validated(Bundle.open(folder), threads=1)


def test_a_model_whose_output_has_no_place_for_the_classes_is_refused(folder: Path) -> None:
    model = onnx.load(folder / MODEL)
    model.graph.node.append(onnx.helper.make_node("ReduceMax", ["p"], [PROBABILITIES], keepdims=0))
    model.graph.node[-2].output[0] = "p"
    model.graph.output[0].type.tensor_type.shape.ClearField("dim")
    onnx.save(model, folder / MODEL)
    rehash(folder)
    with pytest.raises(BundleError, match=r"its outputs are .*the manifest says 2"):
        open_validated(Bundle.open(folder), threads=1)


def test_a_model_that_takes_batches_of_one_size_only_is_refused(folder: Path) -> None:
    model = onnx.load(folder / MODEL)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, folder / MODEL)
    rehash(folder)
    with pytest.raises(BundleError, match="batches of 4 only; export the bundle again"):
        open_validated(Bundle.open(folder), threads=1)


def test_a_golden_pattern_of_a_later_release_is_refused(folder: Path) -> None:
    case = {"pattern": "fractal", "seed": 0, "probabilities": [0.5, 0.5], "int8": [0.5, 0.5]}
    change_manifest(folder, golden=[case])
    bundle = Bundle.open(folder)
    with pytest.raises(BundleError, match="'fractal' is unknown"):
        golden_deviation(
            open_validated(bundle, threads=1).session, bundle.manifest.golden, ImageSpec(height=32, width=32)
        )
