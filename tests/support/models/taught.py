"""Photos on a host that a model is taught from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from runtime.serving.taught.photos import TaughtPhoto
from tests.support.photos import photo


def taught(folder: Path, *named: tuple[str, int]) -> list[TaughtPhoto]:
    """Drawn photos in `folder`, each of a label and drawn from a seed."""
    folder.mkdir(exist_ok=True)
    made = []
    for label, seed in named:
        data = photo("grass", seed)
        digest = hashlib.sha256(data).hexdigest()
        (folder / digest).write_bytes(data)
        made.append(TaughtPhoto(label, digest, folder / digest))
    return made
