"""Acceptance of photos of the inbox: they join a dataset, and what the next training takes from the data store."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from secrets import token_hex

import msgspec

from runtime.api.requests.upload import NamedPhoto
from runtime.api.teaching.inbox.service import InboxService
from runtime.api.teaching.intake import Intake
from runtime.host.deadline import in_daemon_thread
from runtime.image import inspect
from runtime.names import MAX_NAME, UNKNOWN, composed, is_reserved, label_among
from runtime.serving.engine import Engine
from runtime.serving.feedback.correction import Correction
from runtime.serving.feedback.review import Corrected
from runtime.serving.scheduling.scheduler import ClientName
from runtime.teaching.workspace.errors import Conflict, Invalid
from runtime.teaching.workspace.inbox import Kept
from runtime.teaching.workspace.photos import NewPhoto
from runtime.teaching.workspace.records import Added
from runtime.teaching.workspace.workspace import Workspace

SHOWN = 8  # digits of a SHA-256 in the name of a photo

Waiting = Kept | Corrected


class Target(msgspec.Struct, frozen=True):
    """Where photos go. `label` is None for none of the classes, `dataset` if they join none.

    `stored` is the label in the data store of photos that the model `product` answered, None if it has no such label.
    """

    label: str | None
    dataset: str | None
    product: str
    stored: str | None

    def stores(self, one: Waiting) -> bool:
        """Whether a training of the photo's product knows the label."""
        known = self.stored is not None and (self.label is None or one.product == self.product)
        return known or (isinstance(one, Corrected) and self.confirms(one))

    def confirms(self, one: Corrected) -> bool:
        """Whether it is the label that a user gave."""
        return composed(one.label) == composed(self.label or UNKNOWN)


class Acceptance:
    """Accepts photos, each one whole or not at all."""

    def __init__(self, inbox: InboxService, engine: Engine, intake: Intake) -> None:
        """Of `inbox`; the labels of the data store are those of the model that `engine` serves."""
        self._inbox = inbox
        self._engine = engine
        self._intake = intake

    def target(self, workspace: Workspace | None, label: str | None, dataset: str | None) -> Target:
        """Where photos with a label go; raises NotThere, Invalid, and Conflict if they can go nowhere."""
        manifest = self._engine.manifest
        if label is not None and is_reserved(label):
            raise Invalid(f"{label!r} is reserved for photos of none of the classes; send null as their label")
        if dataset is not None and workspace is not None:
            workspace.photos.check_target(dataset, label)
        joins = dataset if label is not None else None  # a dataset has classes alone
        if self._inbox.corrections is None:
            if joins is None:
                raise Conflict(_nowhere(label))
            return Target(label, joins, manifest.name, None)
        stored = UNKNOWN if label is None else label_among(manifest.labels, label)
        return Target(label, joins, manifest.name, stored)

    async def accept(
        self, found: dict[str, Waiting], target: Target, workspace: Workspace | None, client: ClientName
    ) -> list[Added]:
        """What became of each photo, by its id in the inbox; raises NoRoom, NotThere, StoreError and Overloaded.

        What was accepted before an error stays so; the rest goes on waiting.
        """
        sources = [partial(self._read, id_, one) for id_, one in found.items()]
        batch = token_hex(8)  # undo takes them back together

        def keep(photo: NewPhoto) -> Added:
            return self._accept_one(photo.name, found[photo.name], photo, target, workspace, batch)

        return await self._intake.take(sources, keep, client)

    async def _read(self, id_: str, one: Waiting) -> NamedPhoto:
        return NamedPhoto(id_, await in_daemon_thread(partial(self._inbox.read, one)))

    def _accept_one(
        self, id_: str, one: Waiting, photo: NewPhoto, target: Target, workspace: Workspace | None, batch: str
    ) -> Added:
        stores = self._inbox.corrections is not None and target.stores(one)
        if target.dataset is None and not stores:
            return Added(id_, None, "refused", _unknown_label(one, target))
        if workspace and target.dataset:
            named = photo._replace(name=f"inbox {one.sha256[:SHOWN]}")
            added = workspace.photos.add(target.dataset, named, target.label, "inbox", batch)
            if added.detail:  # it is in another class
                return Added(id_, one.sha256, "refused", added.detail)
        written = self._store(one, photo.data, target) if stores else None
        if isinstance(one, Kept):
            self._inbox.settle_accepted(one, written)
        elif self._inbox.corrections and not (stores and target.confirms(one)):
            self._inbox.corrections.review(one, "rejected")  # it shows something else than was said
        return Added(id_, one.sha256, "added")

    def _store(self, one: Waiting, photo: bytes, target: Target) -> str | None:
        """Write it as an accepted correction; returns the name of a new one. Raises StoreError."""
        corrections = self._inbox.corrections
        if corrections is None:
            return None
        if isinstance(one, Corrected) and target.confirms(one):
            corrections.review(one, "accepted")
            return None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        predicted, version = (one.answer.label, one.answer.version) if isinstance(one, Kept) else _said_of(one)
        label = target.stored or target.label or UNKNOWN
        correction = Correction(one.sha256, label, predicted, version, now, one.product)
        return corrections.accept(photo, inspect(photo).image.format or "photo", correction)


def _said_of(one: Corrected) -> tuple[str | None, str | None]:
    return one.predicted, one.version


def _nowhere(label: str | None) -> str:
    if label is None:
        return (
            "photos of none of the classes are kept in a data store alone, and this appliance has none "
            "(DANDELION_DATA); delete them instead"
        )
    return (
        "name the dataset that the photos shall join; without one they go to a data store, and this appliance has none "
        "(DANDELION_DATA)"
    )


def _unknown_label(one: Waiting, target: Target) -> str:
    label = (target.label or UNKNOWN)[:MAX_NAME]
    if one.product != target.product:
        return (
            f"it was answered by {one.product!r}, whose labels are not known while {target.product!r} serves; name a "
            "dataset that it shall join"
        )
    return f"{label!r} is no label of {one.product!r}, whose next training would not know it; name a dataset with it"
