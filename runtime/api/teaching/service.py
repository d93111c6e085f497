"""The teaching service of an appliance: opens the workspace when it is first needed, and says what is wrong."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import msgspec

from runtime.api.teaching.inbox.acceptance import Acceptance
from runtime.api.teaching.inbox.records import Deleted
from runtime.api.teaching.inbox.service import InboxService
from runtime.api.teaching.inbox.writer import InboxWriter
from runtime.api.teaching.intake import Intake
from runtime.bundle.manifest import BundleError
from runtime.serving.appliance import Appliance
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.taught.photos import TaughtPhoto
from runtime.serving.taught.publisher import Offered
from runtime.store import StoreError
from runtime.teaching.backbone import Backbone
from runtime.teaching.example_sets.loading import ExampleLoader
from runtime.teaching.extraction import Extraction
from runtime.teaching.lessons import Lessons, open_taught, taught_from
from runtime.teaching.teach import check_counts
from runtime.teaching.worker import Worker
from runtime.teaching.workspace.errors import Conflict, WorkspaceError
from runtime.teaching.workspace.history import no_dataset
from runtime.teaching.workspace.inbox import InboxBounds
from runtime.teaching.workspace.records import Bounds, Dataset, DatasetSummary, Outcome, State
from runtime.teaching.workspace.workspace import Workspace

FOLDER = "teaching"  # below the cache


class BackbonePart(msgspec.Struct, frozen=True):
    """The backbone that photos are seen with, and the side of its input, px."""

    name: str
    version: str
    image_size: int


class _Counting:
    """Tells the metrics what the worker does."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def seen(self, seconds: float) -> None:
        self._metrics.teach_seconds.labels("features").observe(seconds)

    def ended(self, state: State, seconds: float) -> None:
        self._metrics.teach_runs.labels(state).inc()
        if state == "done":
            self._metrics.teach_seconds.labels("run").observe(seconds)


class TeachingService:
    """What the routes of `/teach` ask. Thread-safe; nothing is written before the first dataset is made."""

    def __init__(self, appliance: Appliance) -> None:
        """Below the cache of `appliance`, within the bounds of its settings."""
        settings = appliance.settings
        self._appliance = appliance
        self._folder = settings.cache / FOLDER
        self._bounds = Bounds(settings.teach_photos, settings.teach_bytes)
        self.photos_at_once = settings.max_photos
        self.intake = Intake(appliance.engine, settings)
        self.examples = ExampleLoader(settings.photo_limits, self._count)
        self._extraction = Extraction(Backbone.open, settings.photo_limits, threads=1)
        self.worker = Worker(
            self.workspace,
            self._extraction,
            Lessons(self._extraction),
            _Counting(appliance.metrics),
            is_busy=lambda: appliance.engine.waiting > 0,
        )
        self._kept = InboxBounds(settings.inbox_photos, settings.inbox_bytes, settings.inbox_days)
        self._writer = InboxWriter(
            lambda: self.workspace().inbox,
            self._kept,
            appliance.metrics,
            is_busy=lambda: appliance.engine.waiting > 0,
        )
        self.inbox = InboxService(appliance, self._kept, self.workspace, self._exists, self._writer.show)
        self.acceptance = Acceptance(self.inbox, appliance.engine, self.intake)
        self._lock = threading.Lock()
        self._workspace: Workspace | None = None
        self._trouble = ""

    def start(self) -> None:
        """Go on with what a stopped process has left; keep photos of doubtful answers, if that is allowed."""
        if Workspace.is_in(self._folder):
            self.worker.wake()
        if self.inbox.is_on:
            self._appliance.engine.doubtful.keep = self._writer.offer
        if self.inbox.is_on or Workspace.is_in(self._folder):
            self._writer.start()  # what was kept before grows old, whether more is kept or not

    def stop(self) -> None:
        """Stop what runs; nothing is left half."""
        self._appliance.engine.doubtful.keep = None
        self._writer.stop()
        self.examples.stop()
        self.worker.stop()
        with self._lock:
            if self._workspace:
                self._workspace.close()

    def troubles(self) -> list[str]:
        """What an operator should know, a sentence each."""
        found = (self._trouble, self.worker.trouble, self._writer.trouble, self._damage())
        return [trouble for trouble in found if trouble]

    async def troubles_soon(self) -> list[str]:
        """The same, without a wait of the event loop for the disk."""
        if self._workspace is None:
            return self.troubles()
        return await asyncio.get_running_loop().run_in_executor(None, self.troubles)

    def backbone(self) -> BackbonePart | None:
        """The backbone that photos are seen with; None if it cannot be used."""
        try:
            return BackbonePart(*self._extraction.about())
        except BundleError as error:
            self._trouble = str(error)
            return None

    def workspace(self) -> Workspace:
        """The workspace, which is made if there is none; raises WorkspaceError."""
        with self._lock:
            if self._workspace is None:
                try:
                    self._workspace = Workspace(self._folder, self._bounds, self._kept)
                except WorkspaceError as error:
                    self._trouble = str(error)
                    raise
                self._trouble = ""
            return self._workspace

    def existing(self, dataset: str) -> Workspace:
        """The workspace, if there is one; raises NotThere for `dataset` if there is none."""
        if not self._exists():
            raise no_dataset(dataset)
        return self.workspace()

    def datasets(self) -> list[DatasetSummary]:
        """All datasets; raises WorkspaceError."""
        return self.workspace().datasets.all() if self._exists() else []

    def dataset(self, dataset: str) -> Dataset:
        """A dataset as it is; raises WorkspaceError."""
        found = self.existing(dataset).datasets.get(dataset, self.backbone_key)
        serving = found.served == self._appliance.engine.model.name.version
        return msgspec.structs.replace(found, serving=serving, loading=self.examples.of(dataset))

    @property
    def backbone_key(self) -> str:
        """What features of the backbone are kept under; empty if there is none."""
        try:
            return self._extraction.about().key
        except BundleError:
            return ""

    def delete(self, dataset: str) -> None:
        """Delete a dataset with all its photos, also in the data store; a teaching of it ends. Raises NotThere."""
        workspace = self.existing(dataset)
        self.worker.cancel(dataset)
        self.examples.forget(dataset)
        if self._appliance.taught_photos:  # first: nobody could ask for it again once the dataset is gone
            self._appliance.taught_photos.forget(dataset)
        workspace.delete(dataset)

    def train(self, dataset: str) -> Dataset:
        """Begin a teaching or have it wait for its turn; raises NotThere, Conflict, and TooFew with what is missing."""
        workspace = self.existing(dataset)
        classes = workspace.datasets.classes(dataset)
        check_counts([each.label for each in classes], [each.photos for each in classes])
        self._extraction.about()
        self.worker.submit(dataset)
        return self.dataset(dataset)

    def cancel(self, dataset: str) -> Dataset:
        """End a teaching; raises NotThere, and Conflict if there is none."""
        found = self.dataset(dataset)
        if not self.worker.cancel(dataset):
            raise Conflict("this dataset is not being taught")
        return found

    def serve(self, dataset: str) -> Offered:
        """Publish the taught model of a dataset and serve it; raises NotThere, Conflict and what the publisher does."""
        workspace = self.existing(dataset)
        version = workspace.datasets.version_of(dataset)
        offered = self._appliance.publisher.offer(workspace.files.models(dataset) / version)
        workspace.runs.served(dataset, version)
        self._send_photos(workspace, dataset, version)
        return offered

    def _send_photos(self, workspace: Workspace, dataset: str, version: str) -> None:
        """Have the photos of a version sent to the data store, where the pipeline finds them."""
        uploads = self._appliance.taught_photos
        if uploads is None:
            return
        photos = taught_from(workspace, dataset, version).photos
        name = open_taught(workspace, dataset, version).manifest.name
        uploads.send_later(
            name,
            dataset,
            [TaughtPhoto(label, sha256, workspace.files.photo(dataset, sha256)) for label, sha256 in photos],
        )

    def undo(self, dataset: str) -> Dataset:
        """Take the last change of a dataset back; raises NotThere, and Conflict if there is none.

        Photos that it took from the inbox wait there again, and no training takes them.
        """
        self.existing(dataset).photos.undo(dataset)
        with suppress(StoreError):  # a store that is away is asked again when somebody looks into the inbox
            self.inbox.withdraw()
        self.inbox.changed()
        return self.dataset(dataset)

    def delete_inbox(self) -> Deleted:
        """Delete all of the inbox, also from what served models were taught from; raises StoreError."""
        return self.inbox.delete_all(self._send_what_is_left)

    def _send_what_is_left(self, dataset: str) -> None:
        """Have the data store keep no photo of a served model that is not here any more."""
        workspace, uploads = self.workspace(), self._appliance.taught_photos
        served = workspace.datasets.get(dataset, "").served
        if uploads is None or served is None:
            return
        try:
            self._send_photos(workspace, dataset, served)
        except BundleError:  # it was taught again since, and what that version was taught from is not known any more
            uploads.forget(dataset)

    def discard(self, dataset: str) -> Dataset:
        """Throw the taught model of a dataset away; raises NotThere, and Conflict if there is none."""
        workspace = self.existing(dataset)
        workspace.datasets.version_of(dataset)
        workspace.runs.discard(dataset)
        workspace.files.remove_models(dataset)
        return self.dataset(dataset)

    def load_examples(self, dataset: str, name: str) -> Dataset:
        """Begin to load an example set; raises NotThere and Conflict."""
        self.examples.load(self.existing(dataset), dataset, name)
        return self.dataset(dataset)

    def came(self, outcomes: list[Outcome]) -> None:
        """Count photos that were sent, and have the worker look at them."""
        for outcome in outcomes:
            self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        self._appliance.metrics.teach_photos.labels(outcome).inc()
        if outcome == "added":
            self.worker.wake()

    def _exists(self) -> bool:
        return self._workspace is not None or Workspace.is_in(self._folder)

    def _damage(self) -> str | None:
        """Why the working data cannot be read. What somebody's photos lack, their own dataset says."""
        try:
            if self._workspace:
                self._workspace.runs.check()
        except WorkspaceError as error:  # a damaged disk keeps nobody from predictions
            return str(error)
        return None
