"""The inbox of an appliance: photos of doubtful answers and corrections of users, which administrators look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.api.teaching.inbox.corrections import Listed, WaitingCorrections
from runtime.api.teaching.inbox.records import (
    Cursor,
    Deleted,
    InboxPage,
    InboxPhoto,
    InboxState,
    Kind,
    order_of,
    shown,
    shown_correction,
)
from runtime.serving.appliance import Appliance
from runtime.serving.feedback.review import Corrected
from runtime.store import Missing, StoreError, open_store
from runtime.teaching.workspace.errors import Conflict, NotThere
from runtime.teaching.workspace.inbox import Emptied, Inbox, InboxBounds, Kept
from runtime.teaching.workspace.workspace import Workspace

OFF = (
    "this appliance keeps no photos to be labelled; its operator can allow it with DANDELION_INBOX_PHOTOS (how many "
    "at most), or keep the corrections of its users with DANDELION_DATA"
)


class InboxService:
    """What the routes of `/teach/inbox` ask. Thread-safe. Without consent and without corrections it refuses."""

    def __init__(
        self,
        appliance: Appliance,
        bounds: InboxBounds,
        workspace: Callable[[], Workspace],
        exists: Callable[[], bool],
        on_change: Callable[[Inbox], None],
    ) -> None:
        """`workspace` opens it, `exists` is whether there is one; `on_change` updates the gauges."""
        data = appliance.settings.data
        self.bounds = bounds
        self._feedback = appliance.feedback
        self._engine = appliance.engine
        self.corrections = WaitingCorrections(open_store(data)) if data else None
        self._workspace = workspace
        self._exists = exists
        self._on_change = on_change

    @property
    def is_on(self) -> bool:
        """Whether photos of doubtful answers are kept."""
        return self.bounds.photos > 0

    @property
    def kept(self) -> Inbox | None:
        """The photos that are kept; None if there never were any."""
        return self._workspace().inbox if self._exists() else None

    def state(self) -> InboxState:
        """How many photos there are, by the last look at the data store."""
        photos = kept.waiting().photos if (kept := self.kept) else 0
        corrections = self.corrections.count if self.corrections else 0
        if corrections is None:
            corrections = self._feedback.waiting if self._feedback else 0
        return InboxState(self.is_on, photos, photos + corrections)

    def check(self) -> None:
        """Raise Conflict if nothing is kept here: neither photos nor corrections."""
        if not (self.is_on or self.corrections or ((kept := self.kept) and kept.waiting().photos)):
            raise Conflict(OFF)

    def page(self, kind: Kind | None, after: str | None, limit: int) -> InboxPage:
        """Up to `limit` photos that follow what `after` tells; raises Conflict and NotThere."""
        self.check()
        cursor = Cursor.read(after)
        listed, trouble = self._list(fresh=cursor is None)
        found = [(photo, _behind(photo)) for photo in _corrections(listed, cursor) if kind in (None, "correction")]
        found = found[: limit + 1]
        kept = self.kept
        if kept and kind != "correction" and len(found) <= limit:
            rows = kept.page(kind, cursor.number if cursor else None, limit + 1 - len(found))
            found += [(shown(row), Cursor(number=row.number)) for row in rows]
        return InboxPage(
            photos=[photo for photo, _ in found[:limit]],
            next=str(found[limit - 1][1]) if len(found) > limit else None,
            state=self.state(),
            most=self.bounds.photos,
            days=self.bounds.days,
            stores=self.corrections is not None,
            labels=self._engine.manifest.labels,
            joined=kept.joined() if kept else 0,
            learned=kept.learned() if kept else [],
            trouble=trouble or None,
        )

    def find(self, ids: Sequence[str]) -> dict[str, Kept | Corrected]:
        """Those of the photos that wait; raises Conflict, and StoreError if that cannot be known."""
        self.check()
        found: dict[str, Kept | Corrected] = dict(kept.find(ids)) if (kept := self.kept) else {}
        if self.corrections and not found.keys() >= set(ids):
            listed = self.corrections.all().by_id
            found |= {id_: listed[id_] for id_ in ids if id_ in listed}
        return found

    def read(self, photo: Kept | Corrected) -> bytes:
        """The encoded photo; raises NotThere and StoreError."""
        if isinstance(photo, Kept):
            return self._workspace().inbox.read(photo.sha256)
        try:
            return self.corrections.photo(photo) if self.corrections else b""
        except Missing as error:
            raise NotThere(f"the photo {photo.sha256[:12]} is not in the data store any more; load it again") from error

    def settle_accepted(self, one: Kept, correction: str | None) -> None:
        """A photo was accepted, and `correction` written of it to the data store."""
        self._workspace().inbox.settle([one.sha256], "accepted", correction)

    def reject(self, ids: Sequence[str]) -> int:
        """Delete photos, and keep corrections out of any training; returns how many. Raises Conflict, StoreError."""
        self.withdraw()
        found = self.find(ids)
        kept = [one.sha256 for one in found.values() if isinstance(one, Kept)]
        count = self._workspace().inbox.settle(kept, "rejected") if kept else 0
        for one in found.values():
            if isinstance(one, Corrected) and self.corrections:
                self.corrections.review(one, "rejected")
                count += 1
        return count

    def delete_all(self, on_joined: Callable[[str], None]) -> Deleted:
        """Delete all that waits, and what had joined datasets and the data store from here; for good.

        `on_joined` is told each dataset that had some. Raises StoreError if the data store cannot be reached: what is
        on this host is deleted all the same.
        """
        kept = self.kept
        emptied = kept.delete_all() if kept else Emptied()
        self.changed()
        for dataset in emptied.datasets:
            on_joined(dataset)
        corrections = self._delete_corrections(emptied.corrections)
        if kept:
            kept.forget_corrections(emptied.corrections)
        return Deleted(emptied.waiting, emptied.joined, corrections, kept.learned() if kept else [])

    def _delete_corrections(self, accepted: Sequence[str]) -> int:
        """Delete the corrections that wait, and those of the names `accepted`; returns how many. Raises StoreError."""
        if self.corrections is None:
            return 0
        waiting = list(self.corrections.all(fresh=True).by_id.values())
        for one in waiting:
            self.corrections.delete(one)
        for name in accepted:
            self.corrections.delete_named(name)
        self.changed()
        return len(waiting) + len(accepted)

    def changed(self) -> None:
        """Something was reviewed: count again."""
        if kept := self.kept:
            self._on_change(kept)
        if self._feedback:
            self._feedback.recount()

    def withdraw(self) -> None:
        """Delete from the data store what was written of photos that came back; raises StoreError."""
        kept = self.kept
        for name in kept.withdrawn() if kept else ():
            if self.corrections:
                self.corrections.delete_named(name)
            if kept:
                kept.note_withdrawal(name)

    def _list(self, *, fresh: bool) -> tuple[Listed, str]:
        """The corrections that wait, and why some of them are missing."""
        if self.corrections is None:
            return Listed({}, ""), ""
        try:
            self.withdraw()
            listed = self.corrections.all(fresh=fresh)
        except StoreError as error:
            return Listed({}, ""), f"the corrections cannot be read: {error}"
        return listed, listed.unreadable


def _corrections(listed: Listed, cursor: Cursor | None) -> list[InboxPhoto]:
    """Those that follow a cursor, the newest first."""
    photos = sorted((shown_correction(*each) for each in listed.by_id.items()), key=order_of, reverse=True)
    if cursor is None:
        return photos
    return [photo for photo in photos if cursor.correction is not None and order_of(photo) < cursor.correction]


def _behind(photo: InboxPhoto) -> Cursor:
    return Cursor(correction=order_of(photo))
