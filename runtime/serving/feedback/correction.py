"""A corrected photo in the object store, and its record beside it.

`feedback/<product>/<label>/<sha256>.<format>` and `<sha256>.json`. Earlier releases wrote `feedback/<label>/…`, which
is read as the default product's.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from runtime.names import DEFAULT_PRODUCT
from runtime.store import Conflict, Store

FEEDBACK = "feedback"
RECORD = ".json"
MAX_PHOTO_BYTES = 2**30  # the largest upload that an appliance can be set to take
MAX_RECORD_BYTES = 2**14

Verdict = Literal["accepted", "rejected"]  # a reviewer's

_OURS = re.compile(rf"{FEEDBACK}/(?:[^/]+/)?[^/]+/[0-9a-f]{{64}}")
_WITHOUT_PRODUCT = re.compile(rf"{FEEDBACK}/([^/]+/[^/]+)")
_OF_DEFAULT = f"{FEEDBACK}/{DEFAULT_PRODUCT}/"


class Correction(msgspec.Struct, frozen=True):
    """The record of a corrected photo; `product` is the name of the model whose label it is.

    `reviewed` is what a reviewer has said of it; JSON lacks it while it waits.
    """

    sha256: str
    label: str
    predicted: str | None
    version: str | None
    received: str
    product: str = DEFAULT_PRODUCT
    reviewed: Verdict | msgspec.UnsetType = msgspec.UNSET

    @property
    def name(self) -> str:
        """The key of the photo and of its record, without their suffixes."""
        return f"{folder_of(self.product)}{self.label}/{self.sha256}"


def folder_of(product: str) -> str:
    """The prefix of the names of a product's corrections."""
    return f"{FEEDBACK}/{product}/"


def name_of(key: str) -> str:
    """The name of a correction, from the key of its photo or its record."""
    return key.rsplit(".", 1)[0]


def product_of(key: str) -> str:
    """The product of a correction, from its key or name."""
    parts = key.split("/")
    return parts[1] if len(parts) > 3 else DEFAULT_PRODUCT


def present_name(name: str) -> str:
    """A name as it would be given today: one without a product is the default product's."""
    return _WITHOUT_PRODUCT.sub(rf"{_OF_DEFAULT}\1", name) if _WITHOUT_PRODUCT.fullmatch(name) else name


def is_ours(name: str) -> bool:
    """Whether an appliance gives such names; other programs may write to the store, too."""
    return _OURS.fullmatch(name) is not None


def is_recorded(store: Store, name: str) -> bool:
    """Whether the store has the record of a correction, under its name or the one of earlier releases."""
    return any(store.tag(known + RECORD) is not None for known in (name, _earlier_name(name)) if known)


def is_recorded_earlier(store: Store, name: str) -> bool:
    """Whether the store has the record under the name of earlier releases."""
    earlier = _earlier_name(name)
    return earlier is not None and store.tag(earlier + RECORD) is not None


def write_correction(store: Store, photo: bytes, format_: str, correction: Correction) -> bool:
    """Write the photo, then its record; returns whether the record is new. Raises StoreError. Idempotent.

    The photo comes first, so that each record has its photo. A photo without a record, left by a killed process, is
    completed when it is sent again.
    """
    if is_recorded_earlier(store, correction.name):
        return False
    store.write(f"{correction.name}.{format_.lower()}", photo)
    try:
        store.write(correction.name + RECORD, msgspec.json.encode(correction), replaces=None)
    except Conflict:  # sent before, and perhaps reviewed since
        return False
    return True


def _earlier_name(name: str) -> str | None:
    return name.replace(_OF_DEFAULT, f"{FEEDBACK}/", 1) if name.startswith(_OF_DEFAULT) else None
