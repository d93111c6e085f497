"""What the inbox tells of its photos, and the cursor of its pages."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Literal

import msgspec

from runtime.serving.feedback.review import Corrected
from runtime.teaching.workspace.errors import NotThere
from runtime.teaching.workspace.inbox import Kept, Learned

Kind = Literal["uncertain", "unknown", "correction"]

_CORRECTION = "c"  # begins the cursor of a correction; that of another photo is a number
_MOST_DIGITS = 18  # of a number in 64 bits


class InboxState(msgspec.Struct, frozen=True):
    """Whether photos of doubtful answers are kept; how many there are, and how many to look at with the corrections."""

    enabled: bool
    photos: int
    waiting: int


class InboxPhoto(msgspec.Struct, frozen=True):
    """A photo that waits for a label. `label` is the model's answer, null if it was unknown, or is not known.

    `confidence` is that of the answer, null of a correction; `said` the label that a user gave, null of others.
    `received` is in seconds since 1970, `product` the name of the model.
    """

    id: str
    kind: Kind
    label: str | None
    confidence: float | None
    product: str
    version: str | None
    received: float
    said: str | None = None


class InboxPage(msgspec.Struct, frozen=True):
    """Some photos, the newest first, corrections before all others; `next` is what `after` must be for more.

    `most` photos are kept, for so many `days`. `stores` is whether there is a data store, in which what is accepted
    reaches the next training; `labels` are those that it then may have. `joined` is how many photos of the datasets
    came from here, `learned` which versions learned from them. `trouble` says why corrections
    are missing.
    """

    photos: list[InboxPhoto]
    next: str | None
    state: InboxState
    most: int
    days: float
    stores: bool
    labels: list[str]
    joined: int
    learned: list[Learned]
    trouble: str | None = None


class Deleted(msgspec.Struct, frozen=True):
    """What was deleted, and the versions that had learned from it.

    `waiting` photos waited, `joined` had joined datasets, `corrections` were deleted in the data store.
    """

    waiting: int
    joined: int
    corrections: int
    learned: list[Learned]


def shown_correction(id_: str, one: Corrected) -> InboxPhoto:
    """A correction, as it is shown."""
    received = 0.0  # an earlier release, or another program, may have written no time
    with suppress(ValueError, OverflowError):
        received = datetime.fromisoformat(one.received).timestamp()
    return InboxPhoto(id_, "correction", one.predicted, None, one.product, one.version, received, one.label)


def shown(one: Kept) -> InboxPhoto:
    """A photo that is kept, as it is shown."""
    answer = one.answer
    return InboxPhoto(
        one.sha256, answer.kind, answer.label, answer.confidence, answer.product, answer.version, one.received
    )


class Cursor(msgspec.Struct, frozen=True):
    """Where a page ended: behind a correction (`received`, `id`), or behind the photo with a `number`."""

    number: int | None = None
    correction: tuple[float, str] | None = None

    @classmethod
    def read(cls, text: str | None) -> Cursor | None:
        """The cursor that `next` of a page told, None for the beginning; raises NotThere for any other text."""
        if not text:
            return None
        if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
            return cls(number=int(text))
        received, _, id_ = text.removeprefix(_CORRECTION).partition("~")
        with suppress(ValueError):
            if text.startswith(_CORRECTION) and id_:
                return cls(correction=(float(received), id_))
        raise NotThere(f"{text[:40]!r} is no `next` of a page of the inbox")

    def __str__(self) -> str:
        """As `next` tells it."""
        if self.correction is None:
            return str(self.number)
        received, id_ = self.correction
        return f"{_CORRECTION}{received}~{id_}"


def order_of(photo: InboxPhoto) -> tuple[float, str]:
    """What corrections are ordered by."""
    return photo.received, photo.id
