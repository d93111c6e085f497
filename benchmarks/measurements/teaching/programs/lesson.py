"""Teaching in an appliance that is running and has the features: `python lesson.py BACKBONE FEATURES OUT ROUNDS`.

FEATURES is an .npz of `labels`, `truth`, `features` and `brightness`. Each round teaches all photos but ten, then, as
somebody who adds these would, all of them. A line of JSON tells the seconds of both to a bundle that is written, opened
and proven by its golden cases.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from runtime.inference.backends import open_validated
from runtime.teaching.backbone import Backbone
from runtime.teaching.bundle import Identity, write_bundle
from runtime.teaching.examples import Examples
from runtime.teaching.teach import teach

MORE = 10  # photos


def examples_of(file: Path) -> Examples:
    """All photos, named by their places."""
    with np.load(file, allow_pickle=False) as kept:
        names = [f"{row:064}" for row in range(len(kept["truth"]))]
        return Examples(kept["labels"].tolist(), names, kept["truth"], kept["features"], kept["brightness"])


def without(examples: Examples, more: int) -> Examples:
    """All photos but `more`, taken evenly out of all classes."""
    rows = np.delete(np.arange(len(examples.truth)), np.linspace(0, len(examples.truth) - 1, more).astype(int))
    photos = [examples.photos[row] for row in rows.tolist()]
    return Examples(examples.labels, photos, examples.truth[rows], examples.features[rows], examples.brightness[rows])


def taught(examples: Examples, backbone: Backbone) -> float:
    """Seconds from the click."""
    began = time.monotonic()
    others = backbone.others_for(examples.labels)
    lesson = teach(examples, others, backbone.scale)
    with tempfile.TemporaryDirectory() as folder:
        open_validated(write_bundle(lesson, backbone, Path(folder, "1"), Identity("taught")), threads=1)
    return time.monotonic() - began


def main(backbone: Backbone, examples: Examples, rounds: int) -> None:
    """Print a line for each round."""
    before = without(examples, MORE)
    for _ in range(rounds):
        seconds = {"click_s": taught(before, backbone), "again_s": taught(examples, backbone)}
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main(Backbone.open(Path(sys.argv[1])), examples_of(Path(sys.argv[2])), int(sys.argv[3]))
