"""Review of corrected photos in the data store: which there are, and what a reviewer says of them."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import msgspec

from runtime.errors import Refusal
from runtime.names import DEFAULT_PRODUCT, NOT_JSON, Label, Sha256, composed, is_path_below, plain
from runtime.serving.feedback.correction import (
    FEEDBACK,
    MAX_RECORD_BYTES,
    RECORD,
    Verdict,
    name_of,
    product_of,
)
from runtime.store import Entry, Store

READERS = 8  # records that are read at once

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

    @property
    def record(self) -> str:
        """The key of its record."""
        return name_of(self.photo) + RECORD


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
    return unique(recorded(store, product))


def unique(found: Iterable[Corrected]) -> list[Corrected]:
    """Each correction once, reviewed if one of those that are the same is; oldest first."""
    by_identity: dict[tuple[str, str, str], Corrected] = {}
    for one in found:
        same = by_identity.get(one.identity)
        if same is None or (same.reviewed is None and one.reviewed):
            by_identity[one.identity] = one
    return sorted(by_identity.values(), key=_age)


def recorded(store: Store, product: str | None = None) -> list[Corrected]:
    """As `corrections`, with both where one is there twice."""
    photos, records = pairs(store, product)
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda one: read_record(store, photos[name_of(one.key)], one.key), records))
    return sorted(found, key=_age)


def pairs(store: Store, product: str | None = None) -> tuple[dict[str, str], list[Entry]]:
    """The keys of the photos by their names, and the records beside them."""
    entries = [
        entry
        for entry in store.list(f"{FEEDBACK}/")
        if is_path_below(entry.key) and product in (None, product_of(entry.key))
    ]
    photos = {name_of(entry.key): entry.key for entry in entries if not entry.key.endswith(RECORD)}
    records = [entry for entry in entries if entry.key.endswith(RECORD) and name_of(entry.key) in photos]
    return photos, records


def read_record(store: Store, photo: str, key: str) -> Corrected:
    """The correction whose record is `key`, of the photo with the key `photo`; raises ReviewError and StoreError."""
    try:
        sidecar = msgspec.json.decode(store.read(key, max_bytes=MAX_RECORD_BYTES)[0], type=_Sidecar)
    except NOT_JSON as error:
        raise ReviewError(f"{store.uri}/{key}: {plain(error)}; delete it together with its photo") from error
    return Corrected(photo, product_of(key), **msgspec.structs.asdict(sidecar))


def review(
    store: Store, sha256: str, verdict: Verdict, *, label: str | None = None, product: str | None = None
) -> Corrected:
    """Say what becomes of a corrected photo, named by the beginning of its SHA-256 and, where it has several, a label.

    `product` tells apart what was corrected for several products. Raises ReviewError where that names none, or more
    than one.
    """
    asked = None if label is None else composed(label)
    matching = [
        one
        for one in recorded(store, product)
        if one.sha256.startswith(sha256) and asked in (None, composed(one.label))
    ]
    found = list({one.identity: one for one in matching}.values())
    if len(found) != 1:
        which = f"{len(found)} corrections" if found else "no correction"
        hint = (
            "; give more of its name, or NAME:LABEL, or NAME:PRODUCT/LABEL"
            if found
            else "; `python -m training feedback list` shows all"
        )
        raise ReviewError(f"{store.uri}: {which} begin with {sha256!r}{hint}")
    for one in matching:
        write_verdict(store, one, verdict)
    return msgspec.structs.replace(found[0], reviewed=verdict)


def write_verdict(store: Store, one: Corrected, verdict: Verdict) -> None:
    """Write what a reviewer says of a correction into its record; raises StoreError."""
    fields = msgspec.structs.asdict(msgspec.structs.replace(one, reviewed=verdict))
    del fields["photo"]
    store.write(one.record, msgspec.json.encode(fields))


def accepted(store: Store, product: str = DEFAULT_PRODUCT) -> list[Corrected]:
    """The corrected photos of a product that may be trained on."""
    return [one for one in corrections(store, product) if one.reviewed == "accepted"]


def _age(one: Corrected) -> tuple[str, str]:
    return one.received, one.photo
