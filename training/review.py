"""Photos that users corrected: only what somebody has looked at and accepted is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from runtime.commands import Refusal
from runtime.feedback import FEEDBACK
from runtime.store import Store
from training.sync import WORKERS

Verdict = Literal["accepted", "rejected"]


class ReviewError(Refusal):
    """A correction that cannot be reviewed; the message names it."""


class Corrected(msgspec.Struct, frozen=True):
    """One corrected photo: its key in the store, what users said of it, and what became of that."""

    photo: str
    sha256: str
    label: str
    predicted: str | None
    version: str | None
    received: str
    reviewed: Verdict | None


class _Sidecar(msgspec.Struct, frozen=True):
    sha256: str
    label: str
    predicted: str | None = None
    version: str | None = None
    received: str = ""
    reviewed: Verdict | None = None


def corrections(store: Store) -> list[Corrected]:
    """Every corrected photo in the data store that has its record beside it, oldest first."""
    keys = [entry.key for entry in store.list(f"{FEEDBACK}/")]
    photos = {key.rsplit(".", 1)[0]: key for key in keys if not key.endswith(".json")}
    records = [key for key in keys if key.endswith(".json") and key.rsplit(".", 1)[0] in photos]
    with ThreadPoolExecutor(WORKERS) as pool:
        sidecars = list(pool.map(lambda key: _read(store, key), records))
    found = [
        Corrected(photos[key.rsplit(".", 1)[0]], **msgspec.structs.asdict(sidecar))
        for key, sidecar in zip(records, sidecars, strict=True)
    ]
    return sorted(found, key=lambda one: (one.received, one.photo))


def review(store: Store, sha256: str, verdict: Verdict, *, label: str | None = None) -> Corrected:
    """Say what becomes of a corrected photo, named by the beginning of its SHA-256 and, where it has several, a label.

    Raises ReviewError where that names none, or more than one.
    """
    found = [one for one in corrections(store) if one.sha256.startswith(sha256) and label in (None, one.label)]
    if len(found) != 1:
        which = f"{len(found)} corrections" if found else "no correction"
        hint = "; give more of its name, or --label" if found else "; `python -m training feedback list` shows all"
        raise ReviewError(f"{store.uri}: {which} begin with {sha256!r}{hint}")
    one = msgspec.structs.replace(found[0], reviewed=verdict)
    fields = msgspec.structs.asdict(one)
    key = f"{fields.pop('photo').rsplit('.', 1)[0]}.json"
    store.write(key, msgspec.json.encode(fields))
    return one


def accepted(store: Store) -> list[Corrected]:
    """The corrected photos that may be trained on."""
    return [one for one in corrections(store) if one.reviewed == "accepted"]


def bring_accepted(store: Store, raw: Path) -> int:
    """Lay accepted photos into their class folders below `raw`; returns how many.

    Raises ReviewError for a label that the folders do not have: nobody means to add a class by correcting a photo.
    """
    photos = accepted(store)
    labels = {folder.name for folder in raw.iterdir() if folder.is_dir()}
    for photo in photos:
        if photo.label not in labels:
            raise ReviewError(
                f"{store.uri}/{photo.photo}: was accepted as {photo.label!r}, which is no class of this dataset "
                f"({', '.join(sorted(labels))}); `python -m training feedback reject {photo.sha256[:12]}`"
            )
    for photo, target in _targets(photos, raw):
        if not target.exists():
            store.download(photo.photo, target)
    return len(photos)


def _targets(photos: list[Corrected], raw: Path) -> Iterator[tuple[Corrected, Path]]:
    for photo in photos:
        yield photo, raw / photo.label / f"feedback-{PurePosixPath(photo.photo).name}"


def _read(store: Store, key: str) -> _Sidecar:
    try:
        return msgspec.json.decode(store.read(key)[0], type=_Sidecar)
    except msgspec.DecodeError as error:
        raise ReviewError(f"{store.uri}/{key}: {error}; delete it together with its photo") from error
