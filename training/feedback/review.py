"""Review of user feedback: only corrected photos that a reviewer accepted are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from runtime.errors import Refusal
from runtime.host.atomic import temporary_folder
from runtime.names import (
    DEFAULT_PRODUCT,
    NOT_JSON,
    UNKNOWN,
    Label,
    Sha256,
    composed,
    is_path_below,
    label_among,
    plain,
)
from runtime.serving.feedback import FEEDBACK, MAX_PHOTO_BYTES, MAX_RECORD_BYTES, product_of
from runtime.store import Store
from runtime.teaching.from_files.class_folders import class_folders_in
from training.storage.hashing import sha256_of
from training.storage.sync import WORKERS

Verdict = Literal["accepted", "rejected"]
_PREFIX = "feedback-"  # of a corrected photo's file in a class folder

MAX_SUFFIX = 10  # characters: `.jpeg`

_Text = Annotated[str, msgspec.Meta(max_length=100)]


class ReviewError(Refusal):
    """A correction that cannot be reviewed; the message names it."""


class Corrected(msgspec.Struct, frozen=True):
    """One corrected photo: its key in the store, what users said of it, and what became of that.

    `product` is the name of the model whose label it is.
    """

    photo: str
    product: str
    sha256: str
    label: str
    predicted: str | None
    version: str | None
    received: str
    reviewed: Verdict | None

    @property
    def identity(self) -> tuple[str, str, str]:
        """What it is one correction by: product, label and SHA-256."""
        return self.product, self.label, self.sha256


class _Sidecar(msgspec.Struct, frozen=True):
    sha256: Sha256
    label: Label
    predicted: _Text | None = None
    version: _Text | None = None
    received: _Text = ""
    reviewed: Verdict | None = None


def corrections(store: Store, product: str | None = None) -> list[Corrected]:
    """Every corrected photo in the data store that has its record beside it, oldest first; those of one `product`.

    A correction that is there twice, as an earlier release and as this one wrote it, is one, reviewed if either is.
    """
    unique: dict[tuple[str, str, str], Corrected] = {}
    for one in _recorded(store, product):
        same = unique.get(one.identity)
        if same is None or (same.reviewed is None and one.reviewed):
            unique[one.identity] = one
    return sorted(unique.values(), key=_age)


def _recorded(store: Store, product: str | None) -> list[Corrected]:
    """As `corrections`, with both where one is there twice."""
    keys = [
        entry.key
        for entry in store.list(f"{FEEDBACK}/")
        if is_path_below(entry.key) and product in (None, product_of(entry.key))
    ]
    photos = {key.rsplit(".", 1)[0]: key for key in keys if not key.endswith(".json")}
    records = [key for key in keys if key.endswith(".json") and key.rsplit(".", 1)[0] in photos]
    with ThreadPoolExecutor(WORKERS) as pool:
        sidecars = list(pool.map(lambda key: _read(store, key), records))
    found = [
        Corrected(photos[key.rsplit(".", 1)[0]], product_of(key), **msgspec.structs.asdict(sidecar))
        for key, sidecar in zip(records, sidecars, strict=True)
    ]
    return sorted(found, key=_age)


def _age(one: Corrected) -> tuple[str, str]:
    return one.received, one.photo


def review(
    store: Store, sha256: str, verdict: Verdict, *, label: str | None = None, product: str | None = None
) -> Corrected:
    """Say what becomes of a corrected photo, named by the beginning of its SHA-256 and, where it has several, a label.

    `product` tells apart what was corrected for several products. Raises ReviewError where that names none, or more
    than one.
    """
    asked = None if label is None else composed(label)
    recorded = [
        one
        for one in _recorded(store, product)
        if one.sha256.startswith(sha256) and asked in (None, composed(one.label))
    ]
    found = list({one.identity: one for one in recorded}.values())
    if len(found) != 1:
        which = f"{len(found)} corrections" if found else "no correction"
        hint = (
            "; give more of its name, or NAME:LABEL, or NAME:PRODUCT/LABEL"
            if found
            else "; `python -m training feedback list` shows all"
        )
        raise ReviewError(f"{store.uri}: {which} begin with {sha256!r}{hint}")
    for one in recorded:
        fields = msgspec.structs.asdict(msgspec.structs.replace(one, reviewed=verdict))
        key = f"{fields.pop('photo').rsplit('.', 1)[0]}.json"
        store.write(key, msgspec.json.encode(fields))
    return msgspec.structs.replace(found[0], reviewed=verdict)


def accepted(store: Store, product: str = DEFAULT_PRODUCT) -> list[Corrected]:
    """The corrected photos of a product that may be trained on."""
    return [one for one in corrections(store, product) if one.reviewed == "accepted"]


def bring_accepted(store: Store, raw: Path, product: str = DEFAULT_PRODUCT) -> int:
    """Lay the accepted photos of a product into their class folders below `raw`; returns how many.

    Those corrected to UNKNOWN join the photos of other things. Raises ReviewError for a label that the folders do not
    have: nobody means to add a class by correcting a photo.
    """
    photos = accepted(store, product)
    labels = _labels(raw)
    for photo in photos:
        if label_among([*labels, UNKNOWN], photo.label) is None:
            raise ReviewError(
                f"{store.uri}/{photo.photo}: was accepted as {photo.label!r}, which is no class of this dataset "
                f"({', '.join(labels)}); `python -m training feedback reject {photo.sha256[:12]}`"
            )
    for photo, target in _targets(photos, raw):
        if not target.exists():
            target.parent.mkdir(exist_ok=True)  # there may be no other photos of other things
            _bring(store, photo, target)
    return len(photos)


def applied(raw: Path) -> list[Path]:
    """The files that `bring_accepted` has laid into the class folders below `raw`."""
    return sorted(raw.glob(f"*/{_PREFIX}*"))


def _labels(raw: Path) -> list[str]:
    return [folder.name for folder in class_folders_in(raw)]


def _bring(store: Store, photo: Corrected, target: Path) -> None:
    with temporary_folder(target.parent) as folder:
        part = folder / target.name
        store.download(photo.photo, part, max_bytes=MAX_PHOTO_BYTES)
        if sha256_of(part) != photo.sha256:
            raise ReviewError(f"{store.uri}/{photo.photo}: is not the photo that was accepted; delete it")
        part.replace(target)


def _targets(photos: list[Corrected], raw: Path) -> Iterator[tuple[Corrected, Path]]:
    labels = [*_labels(raw), UNKNOWN]
    for photo in photos:
        ending = PurePosixPath(photo.photo).suffix[:MAX_SUFFIX]
        yield photo, raw / (label_among(labels, photo.label) or photo.label) / f"{_PREFIX}{photo.sha256}{ending}"


def _read(store: Store, key: str) -> _Sidecar:
    try:
        return msgspec.json.decode(store.read(key, max_bytes=MAX_RECORD_BYTES)[0], type=_Sidecar)
    except NOT_JSON as error:
        raise ReviewError(f"{store.uri}/{key}: {plain(error)}; delete it together with its photo") from error
