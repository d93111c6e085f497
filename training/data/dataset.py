"""A prepared dataset: class folders of verified photos, a manifest, and one hash of the whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import msgspec

from runtime.errors import Refusal
from runtime.names import NOT_JSON, UNKNOWN, Sha256, is_path_below, plain

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1  # of a dataset whose photos show its classes alone
UNKNOWN_SCHEMA_VERSION = 2  # of one with photos of other things

Split = Literal["train", "validation"]


class DatasetError(Refusal):
    """A dataset that cannot be trained on; the message names the folder or file and the remedy."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Strict: a key that nobody reads is a key that somebody misspelt."""


class Photo(_Record, frozen=True):
    """One photo. Photos of one `group` are (nearly) the same picture and must stay in one split.

    The `label` of a photo of other things is `runtime.names.UNKNOWN`.
    """

    path: str
    label: str
    sha256: Sha256
    size_bytes: int
    width: int
    height: int
    group: int
    split: Split


class LeftOut(_Record, frozen=True):
    """A file that `prepare` did not take, and why."""

    path: str
    reason: str


class DatasetManifest(_Record, frozen=True):
    """`manifest.json` of a prepared dataset; `labels` and `photos` are sorted.

    Among `photos` may be some of other things, of which `labels` has none.
    """

    schema_version: int
    labels: list[str]
    seed: int
    validation_fraction: float
    photos: list[Photo]
    left_out: list[LeftOut]

    @property
    def sha256(self) -> str:
        """The dataset's hash: of the labels and of every photo's path, content and split."""
        return hashlib.sha256(msgspec.json.encode([self.labels, self.photos], order="deterministic")).hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset on disk."""

    path: Path
    manifest: DatasetManifest

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the manifest of the prepared dataset in the folder `path`; raises DatasetError."""
        file = path / MANIFEST
        try:
            manifest = msgspec.json.decode(file.read_bytes(), type=DatasetManifest)
        except OSError as error:
            raise DatasetError(f"{file}: {error.strerror}; run `python -m training prepare` first") from error
        except NOT_JSON as error:
            raise DatasetError(f"{file}: {plain(error)}; run `python -m training prepare` again") from error
        if manifest.schema_version not in {SCHEMA_VERSION, UNKNOWN_SCHEMA_VERSION}:
            raise DatasetError(
                f"{file}: schema version {manifest.schema_version}, this release reads {SCHEMA_VERSION} and "
                f"{UNKNOWN_SCHEMA_VERSION}; run `python -m training prepare` again"
            )
        for photo in manifest.photos:
            if not is_path_below(photo.path):
                raise DatasetError(f"{file}: {photo.path[:100]!r} leaves the dataset; do not trust it, prepare it anew")
        return cls(path, manifest)

    @property
    def labels(self) -> list[str]:
        """The names of the user's classes, sorted."""
        return self.manifest.labels

    @property
    def has_unknown(self) -> bool:
        """Whether there are photos of other things, from which an unknown class is learned."""
        return any(photo.label == UNKNOWN for photo in self.manifest.photos)

    @property
    def classes(self) -> list[str]:
        """What a network learns to tell apart: the labels, and the unknown class last if there are photos of it.

        A photo's class index is the position of its label here.
        """
        return [*self.labels, UNKNOWN] if self.has_unknown else self.labels

    def of_classes(self) -> Self:
        """The same dataset without its photos of other things."""
        photos = [photo for photo in self.manifest.photos if photo.label != UNKNOWN]
        return replace(
            self, manifest=msgspec.structs.replace(self.manifest, schema_version=SCHEMA_VERSION, photos=photos)
        )

    def photos(self, split: Split | None = None) -> list[Photo]:
        """The photos of one split, or all, in the manifest's order."""
        return [photo for photo in self.manifest.photos if split is None or photo.split == split]

    def read(self, photo: Photo) -> bytes:
        """The encoded bytes of one photo; raises DatasetError where they are no longer what the manifest says."""
        file = self.path / photo.path
        try:
            data = file.read_bytes()
        except OSError as error:
            raise DatasetError(f"{file}: {error.strerror}; run `python -m training prepare` again") from error
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            raise DatasetError(f"{file}: has changed since it was prepared; run `python -m training prepare` again")
        return data
