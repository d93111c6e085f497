"""Loads an example set into a dataset, in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from secrets import token_hex
from typing import NamedTuple

from runtime.errors import Refusal
from runtime.host.photo_limits import PhotoLimits
from runtime.host.thread_priority import LOWEST, lower_thread_priority
from runtime.image import ImageError
from runtime.teaching.example_sets.drawn import EACH, LABELS, drawn_photos
from runtime.teaching.example_sets.public import PublicPhoto, PublicPhotos, fetch, public_photos
from runtime.teaching.workspace.errors import Conflict, NotThere
from runtime.teaching.workspace.records import ExampleSet, Loading, Outcome
from runtime.teaching.workspace.thumbnails import with_thumbnail
from runtime.teaching.workspace.workspace import Workspace

DRAWN, PUBLIC = "drawn", "public"
AT_ONCE = 8  # photos that are fetched at the same time

log = logging.getLogger(__name__)


class Example(NamedTuple):
    """One photo of an example set."""

    label: str
    name: str
    data: bytes


def example_sets() -> list[ExampleSet]:
    """What there is to load; `size_bytes` is what must be fetched."""
    public = public_photos()
    return [
        ExampleSet(DRAWN, EACH * len(LABELS), 0),
        ExampleSet(PUBLIC, len(public.photos), public.size_bytes),
    ]


class ExampleLoader:
    """One set at a time for each dataset. Thread-safe. What a stop or a failure leaves is whole, and can be resumed."""

    def __init__(
        self, limits: PhotoLimits, on_photo: Callable[[Outcome], None], *, public: PublicPhotos | None = None
    ) -> None:
        """`on_photo` is told what became of each photo; `public` is another list than the recorded one."""
        self._limits = limits
        self._on_photo = on_photo
        self._public = public
        self._lock = threading.Lock()
        self._loading: dict[str, Loading] = {}
        self._stopping = False

    def of(self, dataset: str) -> Loading | None:
        """The last set that was loaded into a dataset since the process began."""
        return self._loading.get(dataset)

    def load(self, workspace: Workspace, dataset: str, name: str) -> None:
        """Begin to load a set; raises NotThere, and Conflict if one is being loaded."""
        known = {each.id: each.photos for each in example_sets()}
        if name not in known:
            raise NotThere(f"there is no example set {name[:40]!r}; there are {', '.join(known)}")
        labels = LABELS if name == DRAWN else tuple(dict.fromkeys(photo.label for photo in self._list().photos))
        with self._lock:
            loading = self._loading.get(dataset)
            if loading and loading.state == "loading":
                raise Conflict(f"the {loading.set} examples are being loaded; wait for their end")
            for label in labels:
                workspace.datasets.need_class(dataset, label)
            self._loading[dataset] = Loading(name, "loading", 0, known[name])
        threading.Thread(target=self._run, args=(workspace, dataset, name), name="examples", daemon=True).start()

    def forget(self, dataset: str) -> None:
        """Stop loading into a dataset, which is deleted."""
        self._loading.pop(dataset, None)

    def stop(self) -> None:
        """Stop loading; what has arrived stays."""
        self._stopping = True

    def _run(self, workspace: Workspace, dataset: str, name: str) -> None:
        lower_thread_priority(LOWEST)
        try:
            batch = token_hex(8)
            for example in drawn_photos() if name == DRAWN else self._fetched(workspace, dataset):
                self._keep(workspace, dataset, Example(*example), batch)
                if self._stopping or dataset not in self._loading:
                    return
            self._note(dataset, "done")
        except Refusal as error:
            self._note(dataset, "failed", str(error))
        except Exception:
            if self._stopping:  # and the workspace may be closed by now
                return
            log.exception("the examples of dataset %s could not be loaded", dataset)
            self._note(dataset, "failed", "the appliance failed; its log says why")

    def _keep(self, workspace: Workspace, dataset: str, example: Example, batch: str) -> None:
        outcome: Outcome = "refused"
        with suppress(ImageError):
            photo = with_thumbnail(example.name, example.data, self._limits)
            outcome = workspace.photos.add(dataset, photo, example.label, "example", batch).outcome
        self._on_photo(outcome)
        self._advance(dataset)

    def _fetched(self, workspace: Workspace, dataset: str) -> Iterator[Example]:
        """The public photos that are not there yet, as they arrive."""
        photos = self._list()
        there = workspace.photos.contents(dataset)
        wanted = [photo for photo in photos.photos if photo.sha256 not in there]
        self._advance(dataset, len(photos.photos) - len(wanted))
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="examples") as pool:
            try:
                yield from _as_they_come(pool, photos.base_url, wanted)
            finally:
                pool.shutdown(cancel_futures=True)

    def _list(self) -> PublicPhotos:
        return self._public or public_photos()

    def _advance(self, dataset: str, photos: int = 1) -> None:
        with self._lock:
            now = self._loading.get(dataset)
            if now:
                self._loading[dataset] = Loading(now.set, now.state, now.done + photos, now.total)

    def _note(self, dataset: str, state: str, detail: str | None = None) -> None:
        with self._lock:
            now = self._loading.get(dataset)
            if now:
                self._loading[dataset] = Loading(now.set, state, now.done, now.total, detail)  # type: ignore[arg-type]


def _as_they_come(pool: ThreadPoolExecutor, base_url: str, photos: Iterable[PublicPhoto]) -> Iterator[Example]:
    """Fetch photos, a few more than are waited for: not all of them need be in memory."""
    waiting: dict[Future[bytes], PublicPhoto] = {}
    rest = iter(photos)
    while True:
        for photo in rest:
            waiting[pool.submit(fetch, base_url, photo)] = photo
            if len(waiting) >= 2 * AT_ONCE:
                break
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            photo = waiting.pop(future)
            yield Example(photo.label, photo.name, future.result())
