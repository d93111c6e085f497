from __future__ import annotations

import copy
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import training.learning.fit
from training.data.dataset import Dataset
from training.learning.augment import augment
from training.learning.batchnorm_folding import fold_norms, state_with_norms
from training.learning.crossvalidate import (
    checkpoint_of,
    cross_validate,
    photos_of,
    predict,
    split_of,
    train_fold,
    unvalidated,
)
from training.learning.fit import fit, predict_logits, steps
from training.learning.history import EpochFigures, HistoryError, read_history, write_history
from training.learning.matmul_convolutions import MatmulConv2d, MatmulGradConv2d, use_matmuls
from training.metrics.scores import score
from training.model.checkpoint import Checkpoint, CheckpointError
from training.model.network import PIXEL_SCALE, PIXEL_ZERO, WeightsError, build, normalise
from training.model.torchvision_models import models
from training.recipe import Recipe, crop_size, is_validated


def quiet(done: int = 1, *, note: str | None = None) -> None:
    pass


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(dataset: Dataset, recipe: Recipe) -> None:
    photos = photos_of(dataset, split_of(dataset), 32)
    short = replace(recipe, image_size=32, epochs=2)
    first, again = fit(photos, short, quiet), fit(photos, short, quiet)
    other = fit(photos, replace(short, seed=2), quiet)
    assert all(torch.equal(first.state[name], again.state[name]) for name in first.state)
    assert not torch.equal(first.state["fc.weight"], other.state["fc.weight"])


def test_training_learns_and_tells_its_figures(dataset: Dataset, checkpoint_file: Path) -> None:
    checkpoint = Checkpoint.load(checkpoint_file)
    assert score(predict(checkpoint, dataset, split_of(dataset).train)).accuracy > 0.8
    history = read_history(checkpoint_file.with_name("history.json"))
    assert [figures.epoch for figures in history.epochs] == [1, 2, 3]
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss
    assert history.kept_epoch == checkpoint.epochs == 3
    assert "last epoch" in history.kept_because


def test_progress_counts_every_batch(dataset: Dataset, recipe: Recipe) -> None:
    photos = photos_of(dataset, split_of(dataset), 32)
    notes: list[str | None] = []
    short = replace(recipe, image_size=32, epochs=4)
    fit(photos, short, lambda done=1, *, note=None: notes.append(note))
    assert len(notes) == steps(len(photos.train), short)
    assert notes[-1] is not None
    assert "epoch 4/4, loss" in notes[-1]
    assert "F1" in notes[-1]


def test_fine_tuning_keeps_the_frozen_layers(dataset: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = models().resnet18(weights=None, num_classes=5)
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    tuned = replace(recipe, image_size=32, epochs=1, weights=str(tmp_path / "weights.pt"))
    fitted = train_fold(dataset, split_of(dataset), tuned, what="fit")
    start = build(2, tuned.weights)
    fold_norms(start)
    before = state_with_norms(start)
    assert fitted.state.keys() == before.keys() == build(2).state_dict().keys()
    assert torch.equal(fitted.state["layer1.0.conv1.weight"], before["layer1.0.conv1.weight"])
    assert not torch.equal(fitted.state["layer4.0.conv1.weight"], before["layer4.0.conv1.weight"])


def test_the_result_lies_between_the_probed_and_the_tuned_network(
    dataset: Dataset, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    torch.save(models().resnet18(weights=None).state_dict(), tmp_path / "weights.pt")
    short = replace(recipe, image_size=32, epochs=1, weights=str(tmp_path / "weights.pt"))
    photos = photos_of(dataset, split_of(dataset), 32)
    share = training.learning.fit.TUNED_SHARE
    found = {}
    for part in (0.0, share, 1.0):
        monkeypatch.setattr(training.learning.fit, "TUNED_SHARE", part)
        found[part] = fit(photos, short, quiet).state
    for name in ("layer2.0.conv1.weight", "layer4.0.conv1.weight", "fc.weight"):
        probed, tuned = found[0.0][name], found[1.0][name]
        assert not torch.equal(probed, tuned)
        assert torch.allclose(found[share][name], probed.lerp(tuned, share), atol=1e-6)
    assert torch.equal(found[0.0]["layer4.0.bn1.bias"], found[1.0]["layer4.0.bn1.bias"]), "of a norm nothing learns"


def test_norms_fold_and_unfold_without_a_change_to_the_function() -> None:
    torch.manual_seed(0)
    network = models().resnet18(weights=None, num_classes=2)
    photos = torch.randn(4, 3, 64, 64)
    network(photos)  # gives the norms statistics to fold
    expected = network.eval()(photos)
    folded = copy.deepcopy(network)
    fold_norms(folded)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    assert torch.allclose(folded(photos), expected, atol=1e-4)
    again = build(2).eval()
    again.load_state_dict(state_with_norms(folded))
    assert torch.allclose(again(photos), expected, atol=1e-4)


def test_a_network_whose_norms_were_never_folded_keeps_its_state() -> None:
    network = build(2)
    state = state_with_norms(network)
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_folding_the_normalisation_keeps_the_function(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = models().resnet18(weights=None, num_classes=2).eval()
    torch.save(source.state_dict(), tmp_path / "weights.pt")
    ours = build(2, str(tmp_path / "weights.pt")).eval()
    pixels = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.inference_mode():
        expected = source.bn1(source.conv1(((pixels / 255 - mean) / std).permute(0, 3, 1, 2)))
        found = ours.bn1(ours.conv1(normalise(pixels)))  # type: ignore[operator]
    inside = (..., slice(2, -2), slice(2, -2))  # the padding differs, by design
    assert torch.allclose(expected[inside], found[inside], atol=1e-4)


def test_normalised_pixels_are_whole_quantisation_steps() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert torch.equal((normalise(pixels) * PIXEL_SCALE + PIXEL_ZERO).round().permute(0, 2, 3, 1).byte(), pixels)


@pytest.mark.parametrize("epochs", [1, 2, 5, 10])
def test_crops_grow_and_never_exceed_the_input(epochs: int) -> None:
    for size in (96, 128, 224):
        sides = [crop_size(Recipe(image_size=size, epochs=epochs), epoch) for epoch in range(1, epochs + 1)]
        assert sides == sorted(sides)
        assert all(side % 16 == 0 and side <= size for side in sides)


def test_crops_of_the_shipped_size_are_whole_and_large_inputs_begin_small() -> None:
    def sides(size: int) -> list[int]:
        return [crop_size(Recipe(image_size=size, epochs=5), epoch) for epoch in range(1, 6)]

    assert sides(96) == [80] * 5
    assert sides(128) == [80, 80, 96, 96, 112]
    assert sides(224) == [128, 128, 160, 160, 192]


def test_augmentation_varies_photos_and_keeps_their_range() -> None:
    photos = normalise(torch.randint(0, 256, (8, 60, 60, 3), dtype=torch.uint8))
    varied = augment(photos, 48, torch.Generator().manual_seed(0))
    assert varied.shape == (8, 3, 48, 48)
    assert torch.isfinite(varied).all()
    assert varied.abs().max() < 4 * photos.abs().max()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("nowhere.pt", r"nowhere\.pt: No such file.*--weights takes imagenet, none or the path of a file"),
        ("text.pt", "is not a PyTorch state dict"),
        ("number.pt", "is not a PyTorch state dict; save the model's state_dict"),
        ("resnet34.pt", "is not a ResNet18"),
        ("partial.pt", "is not a ResNet18"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, weights: str, message: str) -> None:
    (tmp_path / "text.pt").write_text("not weights")
    torch.save(3, tmp_path / "number.pt")
    torch.save(models().resnet34(weights=None).state_dict(), tmp_path / "resnet34.pt")
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "partial.pt")
    with pytest.raises(WeightsError, match=message):
        build(2, str(tmp_path / weights))


def test_imagenet_weights_that_cannot_be_had_say_how_to_supply_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(
        models().ResNet18_Weights.IMAGENET1K_V1.value, "url", "http://127.0.0.1:9/resnet18-f37072fd.pth"
    )
    with pytest.raises(
        WeightsError, match=r"put resnet18-f37072fd\.pth at .*checkpoints.*--weights PATH.*--weights none"
    ):
        build(2, "imagenet")


def test_the_real_weights_load() -> None:
    if "TORCH_HOME" not in os.environ:
        pytest.skip("set TORCH_HOME to a folder with hub/checkpoints/resnet18-f37072fd.pth")
    network = build(2, "imagenet").eval()
    assert np.isfinite(predict_logits(network, np.zeros((1, 64, 64, 3), np.uint8))).all()


def record(checkpoint_file: Path) -> dict[str, object]:
    loaded: dict[str, object] = torch.load(checkpoint_file, weights_only=True)
    return loaded


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet34"}, "holds a resnet34, expected a resnet18; train again"),
        ({"schema_version": 9}, "is not a checkpoint that this release wrote"),
        ({"labels": ["a", "b", "c"]}, "do not fit a resnet18 of 3 classes"),
        ({"state_dict": {}}, "do not fit a resnet18"),
    ],
)
def test_a_checkpoint_of_another_kind_is_refused(
    checkpoint_file: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    torch.save(record(checkpoint_file) | change, tmp_path / "changed.pt")
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.load(tmp_path / "changed.pt")


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no")
    for name, message in (("text.pt", "is not a PyTorch checkpoint"), ("nowhere.pt", "fit` first")):
        with pytest.raises(CheckpointError, match=message):
            Checkpoint.load(tmp_path / name)


def test_a_checkpoint_that_lacks_a_key_is_refused(checkpoint_file: Path, tmp_path: Path) -> None:
    torch.save({key: value for key, value in record(checkpoint_file).items() if key != "labels"}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="lacks labels; train again"):
        Checkpoint.load(tmp_path / "x.pt")


def test_the_last_epoch_is_kept_however_good_an_earlier_one_looks(tmp_path: Path) -> None:
    def figures(epoch: int, f1: float, loss: float) -> EpochFigures:
        return EpochFigures(epoch, 1.0, 0.1, 0.5, loss, f1, f1, f1, f1)

    epochs = [figures(1, 0.90, 0.1), figures(2, 0.975, 0.3), figures(3, 0.974984, 0.3)]  # 0.000016 less than before
    write_history(tmp_path / "history.json", epochs)
    history = read_history(tmp_path / "history.json")
    assert (history.kept_epoch, history.epochs) == (3, epochs)


def test_the_kept_weights_are_those_that_the_last_epoch_was_measured_with(dataset: Dataset, recipe: Recipe) -> None:
    short = replace(recipe, image_size=32, epochs=2)
    fitted = train_fold(dataset, split_of(dataset), short, what="fit")
    said = predict(checkpoint_of(dataset, short, fitted), dataset, split_of(dataset).held_out)
    assert score(said).accuracy == fitted.history[-1].validation_accuracy


def test_fold_networks_are_those_of_fit_and_see_no_held_out_photo(dataset: Dataset, recipe: Recipe) -> None:
    short = replace(recipe, image_size=32, epochs=1)
    fold, checkpoint = next(cross_validate(dataset, short, 2))
    fitted = train_fold(dataset, fold, replace(short, seed=checkpoint.seed), what="fit")
    assert all(torch.equal(value, checkpoint.state_dict[name]) for name, value in fitted.state.items())
    blind = train_fold(dataset, unvalidated(fold), short, what="fit")
    assert blind.history[-1].validation_accuracy is None


@pytest.mark.parametrize(("epochs", "validated"), [(1, [1]), (2, [2]), (5, [2, 5]), (10, [1, 4, 7, 10])])
def test_every_third_epoch_is_validated_and_always_the_last(epochs: int, validated: list[int]) -> None:
    assert [epoch for epoch in range(1, epochs + 1) if is_validated(epoch, epochs)] == validated


def test_a_history_of_an_earlier_release_asks_for_another_training(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text("[]")
    with pytest.raises(HistoryError, match=r"history\.json: .*run `python -m training fit` again"):
        read_history(tmp_path / "history.json")


@pytest.mark.parametrize(("channels", "kind"), [(256, MatmulGradConv2d), (512, MatmulConv2d)])
@pytest.mark.parametrize(("stride", "side"), [(1, 5), (2, 6), (2, 5)])
def test_a_convolution_by_matrix_products_is_the_convolution(
    channels: int, kind: type[torch.nn.Conv2d], stride: int, side: int
) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, channels, 3, stride, 1)).to(memory_format=torch.channels_last)
    ours = copy.deepcopy(plain)
    use_matmuls(ours)
    assert isinstance(ours[0], kind)
    photos = torch.randn(2, 3, side, side).contiguous(memory_format=torch.channels_last)
    inputs = [photos.clone().requires_grad_() for _ in range(2)]
    outputs = []
    for network, given in zip((plain, ours), inputs, strict=True):
        outputs.append(network(given))
        outputs[-1].square().sum().backward()
    assert torch.allclose(*outputs, rtol=1e-4, atol=1e-5)
    assert outputs[1].is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(inputs[0].grad, inputs[1].grad, rtol=1e-4, atol=1e-3)
    for expected, found in zip(plain.parameters(), ours.parameters(), strict=True):
        assert torch.allclose(expected.grad, found.grad, rtol=1e-4, atol=1e-3)


def test_a_network_with_convolutions_by_matrix_product_keeps_its_state() -> None:
    network = build(2)
    expected = dict(network.state_dict())
    use_matmuls(network)
    assert all(
        value is expected[name] or torch.equal(value, expected[name]) for name, value in network.state_dict().items()
    )
    assert network.state_dict().keys() == expected.keys()
