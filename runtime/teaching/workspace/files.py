"""The files of a workspace: encoded photos and their thumbnails, by dataset and SHA-256, and taught models."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from runtime.host.atomic import TEMPORARY, remove_abandoned, remove_folder, whole_file
from runtime.teaching.workspace.database import disk_of
from runtime.teaching.workspace.errors import NotThere

INBOX = "inbox"  # the inbox, in the place of a dataset's id, which is hexadecimal
UNCLAIMED_S = 600.0  # the longest that a photo may lie here before it is in the database


class Files:
    """Thread-safe: every file is written whole under a name that tells its content."""

    def __init__(self, folder: Path) -> None:
        """Everything lies below `folder`."""
        self._photos, self._thumbnails, self._models = (folder / name for name in ("photos", "thumbnails", "models"))

    def write(self, dataset: str, sha256: str, photo: bytes, thumbnail: bytes) -> None:
        """Keep a photo and its thumbnail; raises NoRoom if the disk is full."""
        self.write_photo(dataset, sha256, photo)
        self._write(self._thumbnail(dataset, sha256), thumbnail)

    def write_photo(self, dataset: str, sha256: str, photo: bytes) -> None:
        """Keep a photo alone; raises NoRoom if the disk is full."""
        self._write(self.photo(dataset, sha256), photo)

    def give_back(self, dataset: str, sha256: str) -> bool:
        """Lay a photo of a dataset into the inbox, too; returns whether its file is there. Raises NoRoom."""
        try:
            data = self.photo(dataset, sha256).read_bytes()
        except FileNotFoundError:
            return False
        self.write_photo(INBOX, sha256, data)
        return True

    def photo(self, dataset: str, sha256: str) -> Path:
        """Where a photo lies."""
        return self._photos / dataset / sha256

    def thumbnail(self, dataset: str, sha256: str) -> bytes:
        """The JPEG of a photo's thumbnail; raises NotThere."""
        try:
            return self._thumbnail(dataset, sha256).read_bytes()
        except FileNotFoundError as error:
            raise NotThere(f"there is no photo {sha256!r} in this dataset; load it again") from error

    def models(self, dataset: str) -> Path:
        """The folder of a dataset's taught models, by version."""
        return self._models / dataset

    def remove(self, dataset: str, photos: Iterable[str]) -> None:
        """Remove photos; what cannot be removed is looked at again at the next start."""
        for sha256 in photos:
            for file in (self.photo(dataset, sha256), self._thumbnail(dataset, sha256)):
                with suppress(OSError):
                    file.unlink(missing_ok=True)

    def remove_dataset(self, dataset: str) -> None:
        """Remove everything of a dataset."""
        for folder in (self._photos, self._thumbnails, self._models):
            with suppress(OSError):
                remove_folder(folder / dataset)

    def datasets(self) -> set[str]:
        """The ids of the datasets of which there are files."""
        roots = (self._photos, self._thumbnails, self._models)
        found = {folder.name for root in roots for folder in root.glob("*")}
        return {name for name in found if name != INBOX and not name.startswith(TEMPORARY)}

    def remove_models(self, dataset: str) -> None:
        """Remove the taught models of a dataset."""
        with suppress(OSError):
            remove_folder(self._models / dataset)

    def tidy(self, known: Iterable[tuple[str, str]]) -> None:
        """Remove what a killed process left behind: files of photos that are not `known`, by dataset and SHA-256."""
        remove_abandoned(self._photos.parent)
        claimed = set(known)
        before = time.time() - UNCLAIMED_S
        for root in (self._photos, self._thumbnails):
            for file in root.glob("*/*"):
                if (file.parent.name, file.stem) not in claimed:
                    with suppress(OSError):
                        if file.stat().st_mtime < before:
                            file.unlink()

    def _write(self, file: Path, data: bytes) -> None:
        with disk_of(self._photos.parent):
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as part:
                part.write_bytes(data)

    def _thumbnail(self, dataset: str, sha256: str) -> Path:
        return self._thumbnails / dataset / f"{sha256}.jpg"
