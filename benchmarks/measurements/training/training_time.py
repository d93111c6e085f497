"""Training time against a plain FP32 loop that decodes every photo in every epoch."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.host.interference import Contention, describe_contention, watch_contention
from benchmarks.host.machine import Machine, this_machine
from benchmarks.statistics.samples import FEWEST, order, ratio_of_medians
from runtime.cli.progress import progress
from runtime.host.cpu import available_cpus
from training.data.dataset import Dataset
from training.data.pixels import truth
from training.learning.crossvalidate import Fold, photos_of, split_of
from training.learning.fit import fit, steps
from training.model.network import PIXEL_SCALE, PIXEL_ZERO, build
from training.model.torchvision_models import models
from training.recipe import Recipe

PLAIN_BATCH = 32


class TrainingResult(msgspec.Struct, frozen=True):
    """Seconds of whole runs, photos on disk to trained network, and the accuracy that each reached.

    `ratio` is the median of ours over the median of the plain loop's.
    """

    machine: Machine
    neighbours: Contention
    source: str
    photos: int
    image_size: int
    epochs: int
    precision: str
    plain_s: list[float]
    ours_s: list[float]
    plain_accuracy: list[float]
    ours_accuracy: list[float]
    ratio: float


@dataclass(frozen=True)
class _Run:
    seconds: float
    accuracy: float
    precision: str = "fp32"


def measure_training(dataset: Dataset, recipe: Recipe, *, source: str, repeat: int) -> TrainingResult:
    """Run both loops `repeat` times, each first in every other turn; ours begins without its pixel cache."""
    loops = {"plain loop": _plain, "this repository": _ours}
    runs: dict[str, list[_Run]] = {name: [] for name in loops}
    threads = available_cpus()
    torch.set_num_threads(threads)
    with watch_contention(threads) as watch:
        for turn in range(repeat):
            for name in order(list(loops), turn):
                runs[name].append(loops[name](dataset, recipe, f"{name} {turn + 1}/{repeat}"))
    plain, ours = runs.values()
    return TrainingResult(
        machine=this_machine(),
        neighbours=watch.seen,
        source=source,
        photos=len(dataset.photos()),
        image_size=recipe.image_size,
        epochs=recipe.epochs,
        precision=ours[0].precision,
        plain_s=[run.seconds for run in plain],
        ours_s=[run.seconds for run in ours],
        plain_accuracy=[run.accuracy for run in plain],
        ours_accuracy=[run.accuracy for run in ours],
        ratio=median(run.seconds for run in ours) / median(run.seconds for run in plain),
    )


def _ours(dataset: Dataset, recipe: Recipe, what: str) -> _Run:
    with tempfile.TemporaryDirectory() as folder:
        copy = Dataset(Path(folder, "dataset"), dataset.manifest)
        shutil.copytree(dataset.path, copy.path, ignore=shutil.ignore_patterns(".*"))
        began = time.monotonic()
        photos = photos_of(copy, split_of(copy), recipe.image_size)
        with progress(what, steps(photos.epoch_size, recipe)) as advance:
            fitted = fit(photos, recipe, advance)
        seconds = time.monotonic() - began
    return _Run(seconds, fitted.history[-1].validation_accuracy or 0.0, fitted.precision)


def _plain(dataset: Dataset, recipe: Recipe, what: str) -> _Run:
    split, classes = split_of(dataset), truth(dataset)
    augmented, plain = _transforms(recipe.image_size)
    torch.manual_seed(recipe.seed)
    batches_an_epoch = -(-len(split.train) // PLAIN_BATCH)
    with progress(what, recipe.epochs * batches_an_epoch) as advance:
        began = time.monotonic()
        network: Any = build(len(dataset.labels), recipe.weights)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
        accuracy = 0.0
        for _ in range(recipe.epochs):
            network.train()
            for rows in _batches(split.train[torch.randperm(len(split.train)).numpy()]):
                batch = _load(dataset, rows, augmented)
                loss = F.cross_entropy(network(batch), torch.from_numpy(classes[rows]))
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                advance(note=f"loss {loss.item():.3f}")
            accuracy = _plain_accuracy(network, dataset, split, plain)
        return _Run(time.monotonic() - began, accuracy)


def _plain_accuracy(network: Any, dataset: Dataset, split: Fold, transform: Any) -> float:
    network.eval()
    classes = torch.from_numpy(truth(dataset)[split.held_out])
    with torch.inference_mode():
        logits = torch.cat([network(_load(dataset, rows, transform)) for rows in _batches(split.held_out)])
    return float((logits.argmax(dim=1) == classes).float().mean())


def _batches(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + PLAIN_BATCH] for start in range(0, len(rows), PLAIN_BATCH)]


def _load(dataset: Dataset, rows: NDArray[np.int64], transform: Any) -> Tensor:
    photos = dataset.photos()
    # Read as the replaced stack did: without the check of each photo's hash, which ours pays for.
    files = [dataset.path / photos[row].path for row in rows]
    images = [Image.open(io.BytesIO(file.read_bytes())).convert("RGB") for file in files]
    return torch.stack([transform(image) for image in images])


def _transforms(size: int) -> tuple[Any, Any]:
    models()  # makes torchvision importable
    from torchvision import transforms  # noqa: PLC0415

    # `build` gives a network for our normalisation; with ImageNet's the plain loop would start from a worse place.
    normalise = transforms.Normalize([PIXEL_ZERO / 255] * 3, [PIXEL_SCALE / 255] * 3)
    tail = [transforms.ToTensor(), normalise]
    resize = transforms.Resize((size, size))
    return transforms.Compose([resize, transforms.RandomHorizontalFlip(), *tail]), transforms.Compose([resize, *tail])


def training_verdict(result: TrainingResult) -> str:
    """Our share of the plain loop's time, with an interval where there are runs enough for one."""
    runs = len(result.ours_s)
    text = f"ratio {result.ratio:.2f}"
    if runs >= FEWEST:
        share = ratio_of_medians(result.ours_s, result.plain_s)
        text += f" (95 % interval {share.low:.2f} to {share.high:.2f})"
    else:
        text += f" ({runs} run{'s' if runs > 1 else ''} of each: no interval, that takes --repeat {FEWEST})"
    return f"{text}: UNRELIABLE, {describe_contention(result.neighbours)}" if result.neighbours.contended else text
