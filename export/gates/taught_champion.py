"""What a champion that was taught on an appliance says of photos, as if it had not learned from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.bundle.manifest import Manifest
from runtime.cli.progress import progress
from runtime.host.cpu import available_cpus
from runtime.names import UNKNOWN
from runtime.teaching.backbone import Backbone, Seen
from runtime.teaching.examples import Examples
from runtime.teaching.learning.solver import logits_of
from runtime.teaching.teach import TooFew, teach
from training.data.dataset import Dataset, Photo

Learned = Callable[[], Collection[str]]  # returns the SHA-256 of the photos that a model was taught from


def said_unseen(
    champion: Manifest, dataset: Dataset, photos: Sequence[Photo], learned: Learned
) -> NDArray[np.str_] | None:
    """The label that the champion gives to each of `photos`, of the dataset's classes, had it been taught without them.

    It is taught anew, from those photos of the dataset's training part that it was taught from: so it has no advantage
    over a challenger, which has not seen `photos` either.
    None if it has not seen them, if it stands on another backbone than the one in this package, or if too few are left.
    """
    if champion.taught is None:
        return None
    known, backbone = learned(), Backbone.open()
    if not any(photo.sha256 in known for photo in photos) or backbone.sha256 != champion.taught.backbone_sha256:
        return None
    kept = [photo for photo in dataset.photos("train") if photo.label != UNKNOWN and photo.sha256 in known]
    seen = _look(backbone, dataset, [*kept, *photos], champion.version)
    examples = Examples(
        labels=dataset.labels,
        photos=[photo.sha256 for photo in kept],
        truth=np.array([dataset.labels.index(photo.label) for photo in kept], np.int64),
        features=np.array([one.features for one in seen[: len(kept)]]),
        brightness=np.array([one.brightness for one in seen[: len(kept)]], np.float32),
    )
    others = backbone.others_for(champion.labels) if champion.unknown else None
    try:
        head = teach(examples, others, backbone.scale).head
    except TooFew:
        return None
    logits = logits_of(np.array([one.features[0] for one in seen[len(kept) :]]), head, backbone.scale)
    return np.array([dataset.labels[index] for index in logits[:, : len(dataset.labels)].argmax(axis=1)])


def _look(backbone: Backbone, dataset: Dataset, photos: Sequence[Photo], version: str) -> list[Seen]:
    extractor = backbone.extractor(threads=available_cpus())
    seen = []
    with progress(f"teach {version} without the validation photos", len(photos)) as advance:
        for photo in photos:
            seen.append(extractor.features_of(dataset.read(photo)))
            advance()
    return seen
