"""A store that somebody else writes to, everything here that reads it, and what must stay as it is."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError
from click.testing import CliRunner, Result

from runtime.__main__ import main
from runtime.bundle.manifest import MANIFEST, MODEL, Bundle
from runtime.inference.backends import open_validated
from runtime.inference.predictions import ModelName
from runtime.registry.cache import Cache
from runtime.registry.catalogue import POINTER, Catalogue, key_of
from runtime.registry.publish import publish
from runtime.serving.loaded_model import LoadedModel
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.trial.process import TrialProcess
from runtime.serving.trial.runner import TrialRunner
from runtime.serving.versions.reloader import Reloader
from runtime.serving.versions.store_deadline import PollTiming
from runtime.store import Store
from runtime.store.folder import FolderStore
from runtime.store.s3 import S3Store
from tests.support.hostile.versions import CANARY, VERSION, Draft, Hostile
from tests.support.models.bundles import write_bundle
from training.data.dataset import Dataset

GOOD = "v1"
CACHES = ("followed", "pulled", "by-hand", "champions")
LONGEST_LINE = 600  # characters, without the folder of the test


class CountedReader(io.BufferedReader):
    """A file that says what was read of it."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


class CountedFolder(FolderStore):
    """A folder that knows what was opened last."""

    opened: CountedReader | None = None

    def _open(self, key: str) -> io.BufferedReader:
        self.opened = CountedReader(super()._open(key).detach())
        return self.opened


def files_below(folder: Path, but: Sequence[str] = ()) -> Iterator[os.DirEntry[str]]:
    """All that is no folder in and below `folder`, except in the folders `but`; quick, for hundreds of tests ask."""
    for entry in os.scandir(folder) if folder.exists() else ():
        if not entry.is_dir():
            yield entry
        elif not entry.is_symlink() and entry.path not in but:
            yield from files_below(Path(entry.path), but)


class CountedBody:
    """The body of an answer from S3 that says what was read of it."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self.taken = 0

    def read(self, size: int | None = None) -> bytes:
        data: bytes = self._body.read(size)
        self.taken += len(data)
        return data

    def close(self) -> None:
        self._body.close()


class CountedClient:
    """A client of boto3 whose bodies are counted."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.opened: CountedBody | None = None

    def get_object(self, **what: Any) -> Any:
        answer = self._client.get_object(**what)
        self.opened = CountedBody(answer["Body"])
        return answer | {"Body": self.opened}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class Limited:
    """A store that notes who reads more of it than was asked for; one byte more tells that there is more."""

    def __init__(self, store: Store) -> None:
        self._store = CountedFolder(Path(store.uri)) if isinstance(store, FolderStore) else store
        self._counted: Any = self._store
        if isinstance(store, S3Store):
            self._counted = store.client = CountedClient(store.client)
        self.exceeded: list[str] = []

    def read(self, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        with self._watched(key, max_bytes):
            return self._store.read(key, max_bytes=max_bytes)

    def download(self, key: str, file: Path, *, max_bytes: int) -> None:
        with self._watched(key, max_bytes):
            self._store.download(key, file, max_bytes=max_bytes)

    @contextmanager
    def _watched(self, key: str, max_bytes: int) -> Iterator[None]:
        self._counted.opened = None
        try:
            yield
        finally:
            opened = self._counted.opened
            if opened and opened.taken > max_bytes + 1:
                self.exceeded.append(f"{key}: {opened.taken} of {max_bytes}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class InProcess(TrialRunner):
    """Tries versions in this process: a child for each would take minutes."""

    @contextmanager
    def child_for(self, *_: object, **__: object) -> Iterator[TrialProcess | None]:
        yield None

    def validate(self, bundle: Bundle, child: TrialProcess | None = None) -> None:
        open_validated(bundle, threads=1)


class StandIn:
    """What is loaded in place of a model: its name and manifest."""

    def __init__(self, bundle: Bundle, source: str) -> None:
        self.manifest = bundle.manifest
        self.name = ModelName(bundle.manifest.name, bundle.manifest.version)
        self.source = source


def stand_in(bundle: Bundle, source: str, _: str | None) -> LoadedModel:
    return cast("LoadedModel", StandIn(bundle, source))


class World:
    """A store that holds GOOD, an appliance that serves it, and a folder outside of both."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        publish(write_bundle(folder / GOOD), store, tag=None)
        self.second = write_bundle(folder / VERSION)
        self.raw: Any = store.client if isinstance(store, S3Store) else None
        self.store = cast("Store", limited := Limited(store))
        self.exceeded = limited.exceeded
        self.pointer = store.read(POINTER, max_bytes=4000)[0]
        self.canary = folder / CANARY
        self.canary.parent.mkdir()
        self.canary.write_text("good = 1\n")
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.environment = {"DANDELION_MODELS": store.uri, "DANDELION_CACHE": str(folder / "by-hand")}
        self.loaded: list[str] = []
        self.reloader = self._follower()
        self.reloader.initial_model()

    def _follower(self) -> Reloader:
        cache = Cache(self.folder / "followed")

        def load(bundle: Bundle, source: str, kernel: str | None) -> LoadedModel:
            self.loaded.append(bundle.manifest.version)
            return stand_in(bundle, source, kernel)

        trials = InProcess(cache.state_file, seconds=60, memory_bytes=None)
        return Reloader(Catalogue(self.store), cache, trials, load, Metrics(), timing=PollTiming(0.1, 60))

    @contextmanager
    def holding(self, hostile: Hostile) -> Iterator[Draft]:
        """Put a variation into the store for the length of the block."""
        draft = Draft(json.loads((self.second / MANIFEST).read_bytes()), self.canary.parent)
        draft.files[MODEL] = (self.second / MODEL).read_bytes()
        hostile.change(draft)
        contents = {key_of(VERSION, name): data for name, data in draft.files.items()}
        contents |= {key_of(VERSION, MANIFEST): draft.data, POINTER: draft.latest}  # the pointer last, as who publishes
        for key, data in contents.items():
            if key in draft.holes:
                self._put_hole(key, draft.holes[key])
            else:
                self._put(key, data)
        try:
            yield draft
        finally:
            self._put(POINTER, self.pointer)
            for key in contents.keys() - {POINTER}:
                self._remove(key)

    def _put(self, key: str, data: bytes) -> None:
        """By the literal key, whatever our own store would say; what cannot be there is not."""
        if self.raw:
            with suppress(BotoCoreError, ClientError):
                self.raw.put_object(Bucket=self.store.uri[5:], Key=key, Body=data)
        elif ".." not in key:
            with suppress(OSError, ValueError):
                file = Path(self.store.uri, key)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)

    def _put_hole(self, key: str, size: int) -> None:
        if self.raw:  # which keeps what it is given: enough to be more than may be read
            self._put(key, bytes(8_000_000))
        else:
            self._put(key, b"")
            os.truncate(Path(self.store.uri, key), size)

    def _remove(self, key: str) -> None:
        if self.raw:
            with suppress(BotoCoreError, ClientError):
                self.raw.delete_object(Bucket=self.store.uri[5:], Key=key)
        elif ".." not in key:
            with suppress(OSError, ValueError):
                Path(self.store.uri, key).unlink()

    def pull(self) -> None:
        catalogue = Catalogue(self.store)
        latest = catalogue.latest()
        assert latest
        Cache(self.folder / "pulled").pull(catalogue, latest.version, manifest_sha256=latest.manifest_sha256)

    def compare(self, dataset: Dataset) -> None:
        from export.release.release import (
            judge,  # here, for scikit-learn comes with it, and each worker imports this module
        )

        judge(Bundle.open(self.folder / GOOD), self.store, dataset, self.folder / "champions")

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["models", *arguments], env=self.environment)

    def tree(self) -> dict[str, tuple[int, int]]:
        """All files but those in the caches, where a good version may come and go."""
        caches = [str(self.folder / name) for name in CACHES]
        states = ((file.path, file.stat(follow_symlinks=False)) for file in files_below(self.folder, but=caches))
        return {path: (state.st_size, state.st_mtime_ns) for path, state in states}

    def left_behind(self) -> list[str]:
        """What is in a cache and is neither a version nor the state of the host."""
        caches = [self.folder / name for name in CACHES]
        here = (Path(file).relative_to(cache).as_posix() for cache in caches for file in files_below(cache))
        parts = {f"models/{version}/{name}" for version in (GOOD, VERSION) for name in (MANIFEST, MODEL)}
        return [name for name in here if name not in parts | {"state.json"}]
