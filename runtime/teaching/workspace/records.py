"""What a workspace tells of datasets and photos, as the API sends it."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from runtime.teaching.report import Report

Source = Literal["upload", "camera", "inbox", "example"]
Outcome = Literal["added", "there_already", "refused"]
State = Literal["waiting", "features", "learning", "checking", "done", "failed", "cancelled"]
Kind = Literal["add", "label", "remove", "class", "rename", "delete_class", "examples"]

SOURCES: tuple[str, ...] = get_args(Source)
ENDED = frozenset({"done", "failed", "cancelled"})


class ClassCount(msgspec.Struct, frozen=True):
    """A class, and how many photos it has."""

    label: str
    photos: int


class Run(msgspec.Struct, frozen=True):
    """One teaching. `done` of `total` steps of its `state` are done; `seconds` is how long it has taken so far."""

    state: State
    done: int = 0
    total: int = 0
    detail: str | None = None
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ENDED


class ExampleSet(msgspec.Struct, frozen=True):
    """Photos to try it with; `size_bytes` must be fetched for them."""

    id: str
    photos: int
    size_bytes: int


class Loading(msgspec.Struct, frozen=True):
    """An example set on its way into a dataset: how many of its photos have come, and why no more do."""

    set: str
    state: Literal["loading", "done", "failed"]
    done: int
    total: int
    detail: str | None = None


class DatasetSummary(msgspec.Struct, frozen=True):
    """A dataset in the list; `updated` is seconds since 1970."""

    id: str
    name: str
    photos: int
    labels: int
    updated: float


class Dataset(msgspec.Struct, frozen=True):
    """What somebody teaches. `revision` counts its changes.

    `waiting` is how many photos have no features yet, `undo` the kind of change that undo takes back, `outdated`
    whether labelled photos have changed since the report. `version` is the taught model that is not thrown away,
    `served` the last of its models that was served, `serving` whether that one answers here now. `loading` is the
    example set that was loaded last.
    """

    id: str
    name: str
    revision: int
    classes: list[ClassCount]
    unlabelled: int
    removed: int
    waiting: int
    undo: Kind | None
    run: Run | None
    report: Report | None
    outdated: bool
    version: str | None
    served: str | None
    serving: bool = False
    loading: Loading | None = None


class Photo(msgspec.Struct, frozen=True):
    """A photo; `id` is its SHA-256, `added` seconds since 1970.

    It is `ready` when it has features; `fault` says why it can have none.
    """

    id: str
    name: str
    label: str | None
    added: float
    source: Source
    ready: bool
    fault: str | None = None


class PhotoPage(msgspec.Struct, frozen=True):
    """Some photos, oldest first, and what `after` must be for those that follow; null if none do."""

    photos: list[Photo]
    next: str | None


class Added(msgspec.Struct, frozen=True):
    """What became of one photo that was sent.

    Where it cannot be read, `code` names the reason for programs, and `values` hold what `detail` tells of it.
    """

    name: str
    id: str | None
    outcome: Outcome
    detail: str | None = None
    code: str | msgspec.UnsetType = msgspec.UNSET
    values: dict[str, str | float] | msgspec.UnsetType = msgspec.UNSET


class Bounds(msgspec.Struct, frozen=True):
    """How many photos a dataset may have, and the bytes of the photos of all datasets together."""

    photos: int = 10_000
    size_bytes: int = 2048 * 2**20
