"""A corrected photo in the object store: `feedback/<label>/<sha256>.<format>` and its record, `<sha256>.json`."""

from __future__ import annotations

import re

import msgspec

from runtime.store import Conflict, Store

FEEDBACK = "feedback"
RECORD = ".json"
MAX_PHOTO_BYTES = 2**30  # the largest upload that an appliance can be set to take
MAX_RECORD_BYTES = 2**14

_OURS = re.compile(rf"{FEEDBACK}/[^/]+/[0-9a-f]{{64}}")


class Correction(msgspec.Struct, frozen=True):
    """The record of a corrected photo."""

    sha256: str
    label: str
    predicted: str | None
    version: str | None
    received: str

    @property
    def name(self) -> str:
        """The key of the photo and of its record, without their suffixes."""
        return f"{FEEDBACK}/{self.label}/{self.sha256}"


def name_of(key: str) -> str:
    """The name of a correction, from the key of its photo or its record."""
    return key.rsplit(".", 1)[0]


def is_ours(name: str) -> bool:
    """Whether an appliance gives such names; other programs may write to the store, too."""
    return _OURS.fullmatch(name) is not None


def write_correction(store: Store, photo: bytes, format_: str, correction: Correction) -> bool:
    """Write the photo, then its record; returns whether the record is new. Raises StoreError. Idempotent.

    The photo comes first, so that each record has its photo. A photo without a record, left by a killed process, is
    completed when it is sent again.
    """
    store.write(f"{correction.name}.{format_.lower()}", photo)
    try:
        store.write(correction.name + RECORD, msgspec.json.encode(correction), replaces=None)
    except Conflict:  # sent before, and perhaps reviewed since
        return False
    return True
