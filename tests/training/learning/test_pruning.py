from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from export.bundle.build import build
from export.gates.quality_gates import GateError, Limits
from training.__main__ import main
from training.data.dataset import Dataset
from training.data.prepare import prepare
from training.learning.crossvalidate import photos_of, predict, split_of
from training.learning.fit import TrainingPhotos
from training.learning.pruning import narrow, width_of
from training.model.checkpoint import Checkpoint, CheckpointError
from training.model.network import blocks

EASY = Limits(min_accuracy=0.5, answered_precision=0.9, max_narrowing_loss=1.0)


@pytest.fixture(scope="module")
def wide(checkpoint_file: Path) -> Checkpoint:
    return Checkpoint.load(checkpoint_file)


@pytest.fixture(scope="module")
def photos(dataset: Dataset, wide: Checkpoint) -> TrainingPhotos:
    return photos_of(dataset, split_of(dataset), wide.image_size)


@pytest.fixture(scope="module")
def narrow_file(wide: Checkpoint, photos: TrainingPhotos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("narrow") / "narrow.pt"
    narrow(wide, photos, share=0.25, epochs=1).checkpoint.save(file)
    return file


def test_a_checkpoint_of_a_narrow_network_is_read_back_as_it_was(narrow_file: Path, wide: Checkpoint) -> None:
    read = Checkpoint.load(narrow_file)
    assert read.widths == [32, 32, 48, 48, 64, 64, 96, 96]
    assert read.wide_accuracy is not None
    assert [block.conv1.out_channels for block in blocks(read.network())] == read.widths
    assert (read.labels, read.image_size, read.dataset_sha256) == (wide.labels, wide.image_size, wide.dataset_sha256)
    parts, whole = (sum(value.numel() for value in each.state_dict.values()) for each in (read, wide))
    assert parts < 0.3 * whole


def test_the_refitted_network_answers_as_the_wide_one_where_a_pruned_one_does_not(
    wide: Checkpoint, photos: TrainingPhotos, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = split_of(dataset).held_out
    expected = predict(wide, dataset, rows).probabilities

    def error() -> float:
        checkpoint = narrow(wide, photos, share=0.25, epochs=0).checkpoint
        return float(abs(predict(checkpoint, dataset, rows).probabilities - expected).mean())

    refitted = error()
    monkeypatch.setattr("training.learning.pruning._refit", lambda *_: None)
    assert refitted < error()


def test_the_same_seed_gives_the_same_weights(wide: Checkpoint, photos: TrainingPhotos, narrow_file: Path) -> None:
    first = Checkpoint.load(narrow_file).state_dict
    again, other = (narrow(wide, photos, share=0.25, epochs=1, seed=seed).checkpoint.state_dict for seed in (42, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["layer4.1.conv2.weight"], other["layer4.1.conv2.weight"])


@pytest.mark.parametrize(("share", "width"), [(0.25, 32), (0.01, 16), (0.2, 32), (0.4, 48), (0.99, 64)])
def test_widths_are_what_int8_kernels_take_at_once(share: float, width: int) -> None:
    assert width_of(64, share) == width


def test_a_narrow_network_is_exported_and_held_to_the_wide_ones_accuracy(
    narrow_file: Path, dataset: Dataset, tmp_path: Path
) -> None:
    checkpoint = Checkpoint.load(narrow_file)
    bundle = build(checkpoint, dataset, tmp_path / "v1", limits=EASY, with_fp32=False, say=lambda _: None)
    assert bundle.manifest.files["model.onnx"].size_bytes < 4e6
    assert bundle.manifest.weights == "none, narrowed"
    assert "narrowing" in {gate.name for gate in bundle.manifest.gates}
    better = replace(checkpoint, wide_accuracy=1.0 + bundle.manifest.metrics.int8.accuracy)
    with pytest.raises(GateError, match=r"narrowing is 1, must be at most 0\.01 \(.* lost, .*; nothing was written"):
        build(better, dataset, tmp_path / "v2", limits=replace(EASY, max_narrowing_loss=0.01), say=lambda _: None)


def test_the_command_makes_a_checkpoint_and_says_what_comes_next(
    checkpoint_file: Path, dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "narrow.pt"
    done = CliRunner().invoke(
        main,
        [
            "narrow",
            "--checkpoint",
            str(checkpoint_file),
            "--data",
            str(dataset.path),
            "--out",
            str(out),
            "--epochs",
            "0",
        ],
    )
    assert done.exit_code == 0, done.output
    assert "32, 32, 48, 48, 64, 64, 96, 96 channels inside its blocks" in done.output
    assert "next: " in done.output
    assert f"python -m export build --checkpoint {out}" in done.output
    assert Checkpoint.load(out).widths


def test_a_narrow_network_another_dataset_and_other_widths_are_refused(
    narrow_file: Path, checkpoint_file: Path, photos: TrainingPhotos, dataset: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="narrow network already; name the wide one"):
        narrow(Checkpoint.load(narrow_file), photos)
    prepare(dataset.path.parent / "raw", tmp_path / "other", seed=9)
    done = CliRunner().invoke(
        main,
        ["narrow", "--checkpoint", str(checkpoint_file), "--data", str(tmp_path / "other"), "--out", str(tmp_path)],
    )
    assert done.exit_code == 1
    assert "train on this dataset" in done.output
    broken = replace(Checkpoint.load(narrow_file), widths=[16] * 7)
    broken.save(tmp_path / "broken.pt")
    with pytest.raises(CheckpointError, match=r"do not fit a resnet18 of 2 classes.*train again"):
        Checkpoint.load(tmp_path / "broken.pt")
