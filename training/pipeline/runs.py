"""Pipeline runs: a scratch folder each, and stored trees by which tasks hand work on between machines."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from runtime.store.trees import INDEX, Index, read_index
from training.storage.locations import Places
from training.storage.sync import delete_tree, download_tree, upload_tree

RUNS = "runs"
KEPT = 5  # finished runs whose trees stay in the store
MAX_NAME = 100  # characters of a name in its key


@dataclass(frozen=True)
class Run:
    """What the tasks of the run `name` share. A tree lies in `folder`, and in the data store below `runs/`."""

    places: Places
    name: str

    @property
    def key(self) -> str:
        """The name, fit for a file and for a key, and the same for no two names.

        Where a name is not fit as it is, the key ends with a hash of it; so does one that looks as if it had one.
        """
        fit = re.sub(r"[^A-Za-z0-9_.-]", "_", self.name).lstrip(".")[:MAX_NAME]
        if fit and fit == self.name and not re.search(r"-[0-9a-f]{12}$", fit):
            return fit
        digest = hashlib.sha256(self.name.encode(errors="surrogatepass")).hexdigest()
        return f"{fit}-{digest[:12]}"

    @property
    def folder(self) -> Path:
        """This machine's scratch folder of the run."""
        return self.places.work / self.key

    def save(self, tree: str) -> None:
        """Hand the tree on."""
        upload_tree(self.folder / tree, self.places.data_store, self._prefix(tree))

    def restore(self, tree: str) -> Path:
        """The tree as it was handed on, in a folder here; raises SyncError where no task has made it yet."""
        download_tree(self.places.data_store, self._prefix(tree), self.folder / tree)
        return self.folder / tree

    def index(self, tree: str) -> Index | None:
        """What was handed on of the tree, None where no task has made it yet."""
        return read_index(self.places.data_store, self._prefix(tree))

    def clear(self) -> None:
        """Remove this machine's scratch folder: all that matters is in the stores."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prefix(self, tree: str) -> str:
        return f"{RUNS}/{self.key}/{tree}"


def prune_runs(places: Places, *, keep: int = KEPT) -> list[str]:
    """Remove the trees of the oldest runs from the store; returns the keys of the runs that went.

    What came of a run stays: the model in the models store, everything else in the tracking server.
    """
    store = places.data_store
    created: dict[str, str] = {}
    for entry in store.list(f"{RUNS}/"):
        _, key, *rest = entry.key.split("/")
        if rest[1:] == [INDEX] and (index := read_index(store, f"{RUNS}/{key}/{rest[0]}")):
            created[key] = max(created.get(key, ""), index.created)
    spare = sorted(created, key=lambda key: created[key])[:-keep]
    for key in spare:
        for tree in sorted({entry.key.split("/")[2] for entry in store.list(f"{RUNS}/{key}/")}):
            delete_tree(store, f"{RUNS}/{key}/{tree}")
    return spare
