"""Opens a workspace: its database and its files."""

from __future__ import annotations

from pathlib import Path

from runtime.teaching.workspace.database import FILE, Database
from runtime.teaching.workspace.datasets import Datasets
from runtime.teaching.workspace.features import Features
from runtime.teaching.workspace.files import Files
from runtime.teaching.workspace.history import History
from runtime.teaching.workspace.inbox import Inbox, InboxBounds
from runtime.teaching.workspace.photos import Photos
from runtime.teaching.workspace.records import Bounds
from runtime.teaching.workspace.runs import Runs


class Workspace:
    """Datasets, photos, features, runs and the inbox in one folder; thread-safe."""

    def __init__(self, folder: Path, bounds: Bounds, inbox: InboxBounds | None = None) -> None:
        """Open or make it; raises Unusable, and NoRoom if the disk is full. Removes what killed processes left."""
        self.database = Database(folder)
        self.files = Files(folder)
        self.runs = Runs(self.database)
        history = History(self.database, self.files)
        self.datasets = Datasets(self.database, history, self.runs)
        self.photos = Photos(self.database, self.files, history, bounds)
        self.features = Features(self.database)
        self.inbox = Inbox(self.database, self.files, inbox or InboxBounds())
        with_files = self.files.datasets()  # before those are read that there are: one may be made meanwhile
        for deleted in with_files - {each.id for each in self.datasets.all()}:
            self.files.remove_dataset(deleted)
        self.files.tidy([*self.photos.known(), *self.inbox.known()])

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether there is a workspace in `folder`."""
        return (folder / FILE).exists()

    def delete(self, dataset: str) -> None:
        """Delete a dataset with everything of it; raises NotThere."""
        self.datasets.delete(dataset)
        self.files.remove_dataset(dataset)

    def close(self) -> None:
        """Close the database."""
        self.database.close()
