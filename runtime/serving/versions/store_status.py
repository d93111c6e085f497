"""Status of the model store: reachable or not, time of the last poll, last error; what changes is logged."""

from __future__ import annotations

import logging
from typing import NamedTuple

from runtime.registry.pointer import Pointer
from runtime.serving.monitoring.metrics import Metrics

UNREACHABLE = "the store cannot be reached"
NOT_ASKED = "the store has not been asked yet"
NOTHING_YET = "no model is published yet"

log = logging.getLogger(__name__)


class PointerRead(NamedTuple):
    """The pointer that the store holds, if any, and a warning for operators."""

    pointer: Pointer | None
    detail: str = ""

    @property
    def version(self) -> str | None:
        """The version that it names."""
        return self.pointer.version if self.pointer else None


class StoreStatus(NamedTuple):
    """Whether the last poll reached the store, its error if not, and the version that the store points at.

    `looked_at` is the time of the last complete poll, in Unix seconds.
    """

    reachable: bool
    detail: str
    latest: str | None
    looked_at: float | None

    @property
    def trouble(self) -> str | None:
        """The warning for operators; None if there is none."""
        if not self.reachable:
            return f"the models are not followed: {self.detail}"
        return None if self.detail in ("", NOTHING_YET) else self.detail


class StatusLog:
    """The status of one store as the last poll left it, with a line in the log where it has changed."""

    def __init__(self, uri: str, metrics: Metrics, *, local: bool) -> None:
        """`uri` names the store; a `local` one is a folder of this host, of which there is less to say."""
        self._uri = uri
        self._metrics = metrics
        self._is_local = local
        self.current = StoreStatus(reachable=False, detail=NOT_ASKED, latest=None, looked_at=None)

    @property
    def is_empty(self) -> bool:
        """Whether the store was reached, and no model is published in it."""
        return self.current.detail == NOTHING_YET

    def reached(self, asked: PointerRead, looked_at: float | None) -> None:
        """The store has answered; `looked_at` as in StoreStatus."""
        self._update(StoreStatus(True, asked.detail, asked.version, looked_at))

    def pointer_read(self, asked: PointerRead) -> None:
        """The store has told its pointer: the poll goes on, and may fail yet."""
        if self.current.detail == NOT_ASKED:
            self.reached(asked, None)
        self.current = self.current._replace(latest=asked.version)

    def unreachable(self, error: Exception) -> None:
        """The store has not answered."""
        self._update(self.current._replace(reachable=False, detail=f"{UNREACHABLE}: {error}", latest=None))
        self._metrics.reloads.labels("unreachable").inc()

    def log_instead(self, earlier: str | None) -> None:
        """Say what serves at the start in place of the store's version: an `earlier` one, or the default bundle."""
        if not self.is_empty:  # the reason has been logged
            instead = f"the earlier {earlier}" if earlier else "the default bundle"
            log.warning("serving %s until a model can be loaded from %s", instead, self._uri)
        elif not self._is_local:
            log.info("serving the default bundle until %s has a model: %s", self._uri, NOTHING_YET)

    def _update(self, status: StoreStatus) -> None:
        before, self.current = self.current, status
        still_away = not status.reachable and before.detail.startswith(UNREACHABLE)  # another reason is no news
        if status.reachable and not before.reachable and not self._is_local:
            log.info("hot reload: polling %s", self._uri)
        if status.trouble and status.trouble != before.trouble and not still_away:
            log.warning("%s", status.detail)
