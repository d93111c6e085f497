"""`python -m export reorder`: the same model as a new version."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

import export.bundle.reordered
from export.__main__ import main
from export.bundle.build import convert
from export.bundle.photos import calibration_pixels
from export.bundle.reordered import CannotReorder, reordered, write_reordered
from runtime.bundle.default import default_bundle
from runtime.bundle.manifest import FP32_MODEL, MANIFEST, MODEL, SIGNATURE, Bundle, Manifest, describe_file
from runtime.inference.backends import open_validated
from runtime.registry.signature import SIGNING_VARIABLE, new_keys, public_key, verify
from tests.support.models.bundles import change_manifest, write_bundle
from training.data.dataset import Dataset
from training.data.pixels import load_pixels
from training.model.checkpoint import Checkpoint

PRIVATE, PUBLIC = new_keys()


def run(bundle: Path, dataset: Dataset, *options: str, key: str | None = None) -> Result:
    command = ["reorder", str(bundle), "--data", str(dataset.path), *options]
    return CliRunner().invoke(main, command, env={SIGNING_VARIABLE: key})


@pytest.fixture(scope="module")
def trained(checkpoint_file: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with an FP32 reference."""
    folder = write_bundle(tmp_path_factory.mktemp("bundles") / "v1", size=64)
    convert(Checkpoint.load(checkpoint_file), load_pixels(dataset, 64), 1.5, folder)
    describe(folder)
    return folder


def describe(folder: Path) -> None:
    files = {path.name: describe_file(path) for path in folder.glob("*.onnx")}
    change_manifest(folder, files=msgspec.to_builtins(files))


def said_of(manifest: Manifest) -> Manifest:
    """All that a new version has in common with the old one."""
    return msgspec.structs.replace(manifest, version="any", created="", golden=[], files={})


def test_the_default_bundle_becomes_a_new_version_that_serves(dataset: Dataset, tmp_path: Path) -> None:
    old = Bundle.open(default_bundle())
    done = run(old.path, dataset, "--out", str(tmp_path), "--version", "v2")
    assert done.exit_code == 0, done.output
    assert "photos need (rows/products): 3/2 0." in done.output
    assert "answers to the golden cases change by" in done.output
    assert f"made {tmp_path / 'v2'}\nnext: make run BUNDLE={tmp_path / 'v2'}" in done.output
    new = Bundle.open(tmp_path / "v2")
    assert (new.manifest.version, new.manifest.files.keys()) == ("v2", old.manifest.files.keys())
    assert said_of(new.manifest) == said_of(old.manifest)
    assert open_validated(new, threads=1).kernel.deviation == 0
    assert open_validated(new, threads=1, preferred="exact").kernel.deviation < 1e-5


def test_a_dry_run_says_what_would_be_gained_and_writes_nothing(
    trained: Path, dataset: Dataset, tmp_path: Path
) -> None:
    done = run(trained, dataset, "--out", str(tmp_path / "out"), "--dry-run")
    assert done.exit_code == 0, done.output
    assert done.output.count("->") == 4
    assert "made" not in done.output
    assert not (tmp_path / "out").exists()


def test_both_models_are_reordered_and_the_version_is_named_by_its_content(
    trained: Path, dataset: Dataset, tmp_path: Path
) -> None:
    old, pixels = Bundle.open(trained), calibration_pixels(dataset, 64)[::-1]
    found = reordered(old, pixels)
    assert found.deviation < 1e-5
    made = [write_reordered(old, found, tmp_path / name) for name in ("a", "b")]
    assert made[0].path.name == made[1].path.name
    assert made[0].manifest.files == made[1].manifest.files
    assert made[0].path.name.endswith(made[0].manifest.files[MODEL].sha256[:8])
    for name in (MODEL, FP32_MODEL):
        weights = [
            [np.sort(onnx.numpy_helper.to_array(each), axis=None) for each in onnx.load(path / name).graph.initializer]
            for path in (old.path, made[0].path)
        ]
        assert all(np.array_equal(was, now) for was, now in zip(*weights, strict=True))


def test_a_version_is_signed_if_there_is_a_key_and_else_the_command_says_so(
    trained: Path, dataset: Dataset, tmp_path: Path
) -> None:
    signed = run(trained, dataset, "--out", str(tmp_path), "--version", "v2", key=PRIVATE)
    assert f"made {tmp_path / 'v2'}, signed" in signed.output
    manifest, signature = ((tmp_path / "v2" / name).read_bytes() for name in (MANIFEST, SIGNATURE))
    verify(manifest, signature, public_key(PUBLIC), origin="v2")
    again = run(tmp_path / "v2", dataset, "--out", str(tmp_path), "--version", "v3")
    assert again.exit_code == 0, again.output
    assert "v2 is signed and this version is not: DANDELION_SIGNING_KEY was not given" in again.output.replace("\n", "")
    assert not (tmp_path / "v3" / SIGNATURE).exists()


def test_a_version_that_is_there_stays_as_it_is(trained: Path, dataset: Dataset) -> None:
    done = run(trained, dataset, "--out", str(trained.parent), "--version", "v1")
    assert done.exit_code == 1
    assert "is there already, and a version never changes; choose another with --version" in done.output


def test_a_graph_of_another_kind_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    done = run(write_bundle(tmp_path / "v1", size=64), dataset)
    assert done.exit_code == 1
    assert "is no graph of" in " ".join(done.output.split())


def test_a_reference_of_another_network_is_refused(trained: Path, dataset: Dataset, tmp_path: Path) -> None:
    mixed = shutil.copytree(trained, tmp_path / "v1")
    shutil.copyfile(write_bundle(tmp_path / "other", size=64) / MODEL, mixed / FP32_MODEL)
    describe(mixed)
    with pytest.raises(CannotReorder, match="is no graph of"):
        reordered(Bundle.open(mixed), calibration_pixels(dataset, 64))


def test_an_order_that_would_change_answers_is_refused(
    trained: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: onnx.ModelProto, _: object) -> None:
        constant = next(each for each in model.graph.initializer if each.name == "evidence.weight")
        values = np.ascontiguousarray(onnx.numpy_helper.to_array(constant)[:, ::-1])
        constant.CopyFrom(onnx.numpy_helper.from_array(values, constant.name))

    monkeypatch.setattr(export.bundle.reordered, "permute", wrong)
    with pytest.raises(CannotReorder, match=r"model\.onnx: would answer otherwise by .*, not by 1e-06"):
        reordered(Bundle.open(trained), calibration_pixels(dataset, 64))
