"""A MobileNetV2 head as camera software trains it, in PyTorch: `python mobilenet_head.py FOLDER OUT EPOCHS HOW`.

The recipe is Frigate's (frigate/util/classification.py): MobileNetV2 of a width of 0.35 at 224 px, frozen; mean over
the places, 128 units with ReLU, a dropout of 0.3, softmax; Adam at 0.001, batches of 16, 50 epochs over four fifths of
the photos, which are decoded anew in each epoch. HOW is `anew`, or `cached` if the frozen network sees each photo only
once. Then an ONNX file is exported; its calibration to INT8 with 300 photos, a part of the recipe, is left out.

The weights are random: none of this width are published for PyTorch. Time and memory are the same with any.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from training.model.torchvision_models import models

WIDTH, SIDE, UNITS, DROPOUT = 0.35, 224, 128, 0.3
RATE, BATCH, VALIDATION = 0.001, 16, 0.2


def photos_in(folder: Path) -> tuple[list[Path], list[int]]:
    """The files that are trained on, and the class of each."""
    files, truth = [], []
    for index, label in enumerate(sorted(each for each in folder.iterdir() if each.is_dir())):
        theirs = sorted(label.iterdir())
        kept = theirs[int(len(theirs) * VALIDATION) :]
        files += kept
        truth += [index] * len(kept)
    return files, truth


def pixels_of(files: list[Path]) -> Tensor:
    """[N, 3, 224, 224], 0..1."""
    decoded = [np.asarray(Image.open(file).convert("RGB").resize((SIDE, SIDE)), np.float32) / 255 for file in files]
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).contiguous()


def batches(files: list[Path], truth: list[int]) -> Iterator[tuple[list[Path], Tensor]]:
    """All photos once, in another order each time."""
    order = torch.randperm(len(files)).tolist()
    for first in range(0, len(order), BATCH):
        rows = order[first : first + BATCH]
        yield [files[row] for row in rows], torch.tensor([truth[row] for row in rows])


def main(folder: Path, out: Path, epochs: int, *, cached: bool) -> None:
    """Train, and write the whole network to `out`."""
    files, truth = photos_in(folder)
    network = models().mobilenet_v2(weights=None, width_mult=WIDTH)
    base = nn.Sequential(network.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    base.eval().requires_grad_(False)
    with torch.no_grad():
        width = base(torch.zeros(1, 3, SIDE, SIDE)).shape[1]
    head = nn.Sequential(nn.Linear(width, UNITS), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(UNITS, max(truth) + 1))
    optimiser = torch.optim.Adam(head.parameters(), lr=RATE)
    known: dict[Path, Tensor] = {}

    def features(batch: list[Path]) -> Tensor:
        with torch.no_grad():
            if not cached:
                return torch.as_tensor(base(pixels_of(batch)))
            if missing := [file for file in batch if file not in known]:
                known.update(zip(missing, base(pixels_of(missing)), strict=True))
            return torch.stack([known[file] for file in batch])

    for _ in range(epochs):
        for batch, wanted in batches(files, truth):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(head(features(batch)), wanted)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    whole = nn.Sequential(base, head, nn.Softmax(dim=1)).eval()
    torch.onnx.export(whole, (torch.zeros(1, 3, SIDE, SIDE),), str(out))
    print(json.dumps({"photos": len(files)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), cached=sys.argv[4] == "cached")
