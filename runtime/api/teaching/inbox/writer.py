"""Keeps the photos of doubtful answers in the background: a bounded queue, and one thread of the lowest priority."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from runtime.host.thread_priority import LOWEST, lower_thread_priority
from runtime.inference.predictions import ModelName, Prediction
from runtime.serving.monitoring.metrics import Metrics
from runtime.teaching.workspace.errors import WorkspaceError
from runtime.teaching.workspace.inbox import Doubt, Doubtful, Inbox, InboxBounds

QUEUED_PHOTOS, QUEUED_BYTES = 64, 8 * 2**20  # that wait for the disk; one photo may always
TOGETHER = 16  # photos between two looks at the bounds
PATIENCE_S = 0.2  # the longest that one photo waits for predictions, which come first
PAUSE_S = 0.005
TIDY_S = 600.0  # between looks at what is too old
STOP_S = 5.0  # the longest wait for what is queued at the end

log = logging.getLogger(__name__)


class _Offered(NamedTuple):
    photo: bytes
    answer: Doubtful


class InboxWriter:
    """Takes photos in the event loop, and writes them in a thread of its own."""

    def __init__(
        self, inbox: Callable[[], Inbox], bounds: InboxBounds, metrics: Metrics, *, is_busy: Callable[[], bool]
    ) -> None:
        """`inbox` is opened by the thread; `is_busy` is whether predictions wait for a core."""
        self._inbox = inbox
        self._bounds = bounds
        self._metrics = metrics
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._queue: deque[_Offered] = deque()
        self._queued_bytes = 0
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
        self.trouble = ""

    def start(self) -> None:
        """Begin to write what is offered, and to delete what is too old."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, and end."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def offer(self, photo: bytes, prediction: Prediction, model: ModelName) -> None:
        """Take a photo whose answer has left, or drop it if the disk cannot keep up. Returns at once."""
        if len(photo) > self._bounds.size_bytes:
            self._drop("too_large")
            return
        kind: Doubt = "unknown" if prediction.unknown else "uncertain"
        answer = Doubtful(kind, prediction.label, prediction.confidence, model.name, model.version)
        with self._lock:
            full = len(self._queue) >= QUEUED_PHOTOS or self._queued_bytes + len(photo) > QUEUED_BYTES
            if self._stopping or (self._queue and full):
                self._drop("busy")
                return
            self._queue.append(_Offered(photo, answer))
            self._queued_bytes += len(photo)
        self._wake.set()

    def show(self, inbox: Inbox) -> None:
        """Update the gauges."""
        waiting = inbox.waiting()
        self._metrics.inbox_waiting_photos.set(waiting.photos)
        self._metrics.inbox_waiting_bytes.set(waiting.size_bytes)
        self._metrics.inbox_oldest_age.set_function(waiting.age_s)

    def _drop(self, reason: str, count: int = 1) -> None:
        self._metrics.inbox_dropped.labels(reason).inc(count)

    def _run(self) -> None:
        lower_thread_priority(LOWEST)
        while True:
            self._wake.clear()
            self._work()
            if self._stopping and not self._queue:
                return
            if not self._queue:
                self._wake.wait(TIDY_S)

    def _work(self) -> None:
        """Keep some of what is queued, then tidy; what fails is dropped, and told."""
        offered = None
        try:
            inbox = self._inbox()
            for _ in range(TOGETHER):
                offered = self._next()
                if offered is None:
                    break
                self._keep(inbox, offered)
            offered = None
            for reason, count in inbox.tidy().items():
                self._drop(reason, count)
            self.show(inbox)
            self.trouble = ""
        except WorkspaceError as error:
            if not self.trouble:
                log.warning("the inbox keeps no photos: %s", error)
            self.trouble = f"the inbox keeps no photos: {error}"
            self._drop("disk", (offered or self._next()) is not None)
        except Exception:  # a bug must not end the thread
            log.exception("the inbox failed")
            self.trouble = "the inbox keeps no photos; the log says why"
            self._drop("disk", (offered or self._next()) is not None)

    def _next(self) -> _Offered | None:
        with self._lock:
            if not self._queue:
                return None
            offered = self._queue.popleft()
            self._queued_bytes -= len(offered.photo)
        deadline = time.monotonic() + PATIENCE_S
        while self._is_busy() and time.monotonic() < deadline and not self._stopping:
            time.sleep(PAUSE_S)
        return offered

    def _keep(self, inbox: Inbox, offered: _Offered) -> None:
        if inbox.keep(offered.photo, offered.answer):
            self._metrics.inbox_kept.labels(offered.answer.kind).inc()
        else:
            self._drop("there_already")
