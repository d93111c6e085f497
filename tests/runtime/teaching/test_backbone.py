from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from runtime.bundle.golden_patterns import draw
from runtime.bundle.manifest import BundleError
from runtime.inference.backends import int8_kernels
from runtime.teaching.backbone import MODEL, RECORD, Backbone, FeatureExtractor, default_backbone
from runtime.teaching.onnx_head import features_of
from runtime.teaching.views import VIEWS
from tests.support.photos import encode
from tests.support.suite.system_packages import needs

FEATURES_OF_TWO = """
import sys
import numpy as np
from runtime.bundle.golden_patterns import draw
from runtime.inference.backends import Kernel
from runtime.teaching.backbone import Backbone, FeatureExtractor

backbone = Backbone.open()
kernel = Kernel("int8", sys.argv[1])
extractor = FeatureExtractor(backbone.model, kernel, backbone.spec, backbone.record.scale, threads=1)
pictures = [draw(one.pattern, one.seed, backbone.spec) for one in backbone.record.golden[:2]]
np.save(sys.argv[2], np.concatenate([extractor.features(picture[np.newaxis]) for picture in pictures]))
"""


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone.open()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_backbone(), tmp_path / "backbone"))


def change(folder: Path, **changes: object) -> None:
    record = msgspec.json.decode((folder / RECORD).read_bytes())
    (folder / RECORD).write_bytes(msgspec.json.encode(record | changes))


def test_the_backbone_of_this_package_is_intact_and_passed_its_gates(backbone: Backbone) -> None:
    assert all(gate.passed for gate in backbone.record.gates)
    assert features_of(backbone.model) == backbone.golden.shape[1] == backbone.others.shape[2] == 512
    assert len(backbone.others) == len(backbone.record.others) > 700
    assert backbone.others.shape[1] == VIEWS


def test_golden_features_are_sums_of_the_golden_maps_and_no_kernel_deviates(backbone: Backbone) -> None:
    assert backbone.golden_maps is not None
    assert backbone.golden_maps.dtype == np.uint8
    assert np.array_equal(backbone.golden_maps.sum(axis=1) * np.float64(backbone.scale), backbone.golden)
    extractor = backbone.extractor(threads=1)
    picture = backbone.record.golden[-1]
    maps = extractor.maps(draw(picture.pattern, picture.seed, backbone.spec)[np.newaxis])
    assert np.array_equal(maps[0], backbone.golden_maps[-1])


def test_features_are_equal_by_every_kernel_of_this_cpu_and_by_exact_arithmetic(backbone: Backbone) -> None:
    pictures = np.stack([draw("noise", 50, backbone.spec), draw("discs", 51, backbone.spec)])
    kernels = [kernel for kernel in int8_kernels() if kernel.kernel != "fast"]
    extractors = [
        FeatureExtractor(backbone.model, kernel, backbone.spec, backbone.record.scale, threads=threads)
        for kernel in kernels
        for threads in (1, 2)
    ]
    found = [extractor.features(pictures) for extractor in extractors]
    assert all(np.array_equal(each, found[0]) for each in found)
    assert found[0].dtype == np.uint16
    assert found[0].any(axis=1).all()


@pytest.mark.emulated
@needs("qemu-user")
@pytest.mark.parametrize(("cpu", "kernel", "within"), [("Haswell", "exact", 0.0), ("Nehalem", "fast", 0.04)])
def test_features_are_the_same_on_processors_without_vnni(
    cpu: str, kernel: str, within: float, backbone: Backbone, tmp_path: Path
) -> None:
    """On AVX2 to the byte; SSE has no fused multiply-add, so some sums are rounded otherwise there."""
    file = tmp_path / "features.npy"
    command = ["qemu-x86_64", "-cpu", cpu, sys.executable, "-c", FEATURES_OF_TWO, kernel, str(file)]
    # What is set of OpenBLAS is for the host's processor: it would compute with instructions that are not emulated.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    found, expected = np.load(file) * backbone.scale, backbone.golden[:2]
    assert (np.linalg.norm(found - expected, axis=1) <= within * np.linalg.norm(expected, axis=1)).all()


def test_the_first_view_of_a_photo_is_as_it_is_served(backbone: Backbone) -> None:
    extractor = backbone.extractor(threads=1)
    picture = draw("discs", 3, backbone.spec)
    photo, mirrored = (encode(Image.fromarray(each), "PNG") for each in (picture, picture[:, ::-1]))
    seen, reflected = extractor.features_of(photo), extractor.features_of(mirrored)
    assert np.array_equal(seen.features[0], extractor.features(picture[np.newaxis])[0])
    assert np.array_equal(seen.features[0], reflected.features[1])
    assert np.array_equal(seen.features[1], reflected.features[0])
    assert 0 < seen.brightness < 1


def test_photos_that_may_show_a_class_are_no_other_things(backbone: Backbone) -> None:
    others = backbone.others_for(["Daisies", "grass"])
    shown = [subject for subject in backbone.record.others if "daisy" in subject]
    assert shown
    assert len(others) == len(backbone.record.others) - len(shown)


def test_a_backbone_that_was_changed_is_refused(folder: Path) -> None:
    (folder / MODEL).write_bytes(b"no model")
    with pytest.raises(BundleError, match=r"model\.onnx: differs from what backbone\.json says; install the package"):
        Backbone.open(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema version 2, this runtime reads 1"),
        ({"files": {}}, "`files` does not list golden.npz, model.onnx, others.npz"),
        ({"scale": 0}, r"> 0\.0 - at `\$\.scale`"),
        ({"surprise": 1}, "unknown field `surprise`"),
    ],
)
def test_a_record_that_is_wrong_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    change(folder, **changes)
    with pytest.raises(BundleError, match=message):
        Backbone.open(folder)


def test_a_folder_without_a_backbone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"backbone\.json: No such file or directory; install the package again"):
        Backbone.open(tmp_path)
