"""The worker of teaching: one thread of the lowest priority, for features of photos as they come and for teachings.

One teaching runs at a time, in the order in which they were asked for; features of other photos wait meanwhile.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from runtime.bundle.manifest import BundleError
from runtime.errors import Refusal
from runtime.host.thread_priority import LOWEST, lower_thread_priority
from runtime.image import ImageError
from runtime.teaching.extraction import Extraction
from runtime.teaching.workspace.errors import Conflict, NotThere, WorkspaceError
from runtime.teaching.workspace.features import Unseen
from runtime.teaching.workspace.records import Run, State
from runtime.teaching.workspace.runs import INTERRUPTED
from runtime.teaching.workspace.workspace import Workspace

BATCH = 64  # photos that are looked up together
IDLE_S = 60.0  # without photos, after which the backbone's memory is given back
PATIENCE_S = 0.2  # the longest that one photo waits for predictions, which come first: else it might wait for ever
PAUSE_S = 0.005
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # no fault of the file that could not be read
STOP_S = 10.0  # the longest wait for the thread's end

log = logging.getLogger(__name__)


class Stopped(Exception):
    """A teaching was cancelled, or the process stops."""


class Observer(Protocol):
    """Is told what was done, for metrics."""

    def seen(self, seconds: float) -> None:
        """The features of one photo took this long."""

    def ended(self, state: State, seconds: float) -> None:
        """A teaching ended."""


class Stage(Protocol):
    """Says how far a teaching is; raises Stopped if it shall go no further."""

    def __call__(self, state: State, done: int, total: int) -> None: ...  # noqa: D102


# Teaches the labelled photos of a dataset, which have features, and keeps what comes of it.
Teach = Callable[[Workspace, str, Stage], None]


class Worker:
    """Thread-safe. The thread starts with the first work, and goes on where a stopped process has left off."""

    def __init__(
        self,
        workspace: Callable[[], Workspace],
        extraction: Extraction,
        teach: Teach,
        observer: Observer,
        *,
        is_busy: Callable[[], bool],
    ) -> None:
        """`workspace` is opened by the thread; `is_busy` is whether predictions wait for a core."""
        self._workspace = workspace
        self._extraction = extraction
        self._teach = teach
        self._observer = observer
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._queue: deque[str] = deque()
        self._running: str | None = None
        self._cancelled: set[str] = set()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._is_tidy = False
        self.trouble = ""

    def wake(self) -> None:
        """There may be work: photos have come."""
        with self._lock:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run, name="teach", daemon=True)
                self._thread.start()
        self._wake.set()

    def submit(self, dataset: str) -> None:
        """Teach a dataset when it is its turn; raises Conflict if it is being taught, and NotThere."""
        with self._lock:
            if self._stopping:
                raise Conflict("the appliance is stopping; teach again when it is back")
            if dataset == self._running or dataset in self._queue:
                raise Conflict("this dataset is being taught already; wait for its end, or cancel it")
            self._workspace().runs.note(dataset, Run("waiting"))
            self._cancelled.discard(dataset)
            self._queue.append(dataset)
        self.wake()

    def cancel(self, dataset: str) -> bool:
        """End the teaching of a dataset, which leaves nothing half; returns whether there was one."""
        with self._lock:
            if dataset in self._queue:
                self._queue.remove(dataset)
            elif dataset == self._running:
                self._cancelled.add(dataset)
                return True
            else:
                return False
        self._end(dataset, "cancelled", 0.0)
        return True

    def is_teaching(self, dataset: str) -> bool:
        """Whether a teaching of the dataset waits or runs."""
        with self._lock:
            return dataset == self._running or dataset in self._queue

    def stop(self) -> None:
        """End the thread; what it was at is done again at the next start, or was not begun."""
        with self._lock:
            self._stopping = True
        self._wake.set()
        if self._thread:
            self._thread.join(STOP_S)
        for dataset in self._queue:
            self._end(dataset, "failed", 0.0, INTERRUPTED)
        self._queue.clear()

    def _run(self) -> None:
        lower_thread_priority(LOWEST)
        while not self._stopping:
            self._wake.clear()
            try:
                if self._work():
                    continue
                self.trouble = ""
            except Refusal as error:  # of the disk or of the backbone: photos wait for a remedy
                self.trouble = f"teaching: photos wait for their features: {error}"
                log.warning("%s", self.trouble)
            except Exception:  # a bug must not end the thread
                if self._stopping:  # and the workspace may be closed by now
                    break
                self.trouble = "teaching: photos wait for their features; the log says why"
                log.exception("teaching failed")
            if not self._wake.wait(IDLE_S):
                self._extraction.release()
        self._extraction.release()

    def _work(self) -> bool:
        """Do some of the work; returns whether there was any."""
        dataset = self._next()
        if dataset is not None:
            self._teach_one(dataset)
            return True
        workspace = self._workspace()
        backbone = self._extraction.about().key
        photos = workspace.features.unseen(backbone, BATCH)
        if not photos and not self._is_tidy:
            workspace.features.keep_only(backbone)  # an upgrade has left those of the one before
            self._is_tidy = True
        for photo in photos:
            if self._stopping or self._queue:
                break
            self._see(workspace, photo)
        return bool(photos)

    def _next(self) -> str | None:
        with self._lock:
            self._running = self._queue.popleft() if self._queue else None
            return self._running

    def _see(self, workspace: Workspace, photo: Unseen) -> None:
        """Compute and keep the features of a photo, in a moment that predictions leave."""
        deadline = time.monotonic() + PATIENCE_S
        while self._is_busy() and time.monotonic() < deadline:
            time.sleep(PAUSE_S)
        began = time.monotonic()
        try:
            seen = self._extraction.see(workspace.files.photo(photo.dataset, photo.sha256).read_bytes())
        except FileNotFoundError:
            workspace.features.refuse(photo, "its file is gone; send it again")
        except OSError as error:
            if error.errno in PASSING:
                raise
            workspace.features.refuse(photo, f"its file cannot be read ({error.strerror}); send it again")
        except ImageError as error:
            workspace.features.refuse(photo, str(error))
        else:
            workspace.features.keep(photo.sha256, self._extraction.about().key, seen.features, seen.brightness)
            self._observer.seen(time.monotonic() - began)

    def _teach_one(self, dataset: str) -> None:
        began = time.monotonic()
        workspace = self._workspace()

        def stage(state: State, done: int, total: int) -> None:
            if self._stopping or dataset in self._cancelled:
                raise Stopped
            workspace.runs.show(dataset, Run(state, done, total, None, round(time.monotonic() - began, 3)))

        try:
            self._see_all(workspace, dataset, stage)
            self._extraction.release()  # what takes the most memory is not needed beside what learns
            self._teach(workspace, dataset, stage)
        except Stopped:
            state: State = "cancelled" if dataset in self._cancelled else "failed"
            detail = None if state == "cancelled" else INTERRUPTED
        except (Refusal, BundleError) as error:
            state, detail = "failed", str(error)
        except MemoryError:
            state, detail = "failed", "there is not enough memory; teach with fewer photos, or on a larger host"
        except Exception:
            log.exception("the teaching of dataset %s failed", dataset)
            state, detail = "failed", "the appliance failed; its log says why"
        else:
            state, detail = "done", None
        self._end(dataset, state, time.monotonic() - began, detail)
        with self._lock:
            self._running = None
            self._cancelled.discard(dataset)

    def _see_all(self, workspace: Workspace, dataset: str, stage: Stage) -> None:
        """Compute the features that a teaching lacks."""
        stage("features", 0, 0)
        photos = workspace.features.unseen_of(dataset, self._extraction.about().key)
        for done, photo in enumerate(photos):
            stage("features", done, len(photos))
            self._see(workspace, photo)

    def _end(self, dataset: str, state: State, seconds: float, detail: str | None = None) -> None:
        with suppress(NotThere):  # the dataset was deleted
            try:
                self._workspace().runs.note(dataset, Run(state, detail=detail, seconds=round(seconds, 3)))
            except WorkspaceError as error:  # a full disk: the next start finds a run that has not ended
                if isinstance(error, NotThere):
                    raise
                self._workspace().runs.show(dataset, Run("failed", detail=str(error), seconds=round(seconds, 3)))
        self._observer.ended(state, seconds)
