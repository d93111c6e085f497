"""Visitor sessions, in memory only: the chosen appliance, its API key, and whether the operator is at this machine."""

from __future__ import annotations

import hmac
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from runtime.serving.monitoring.metrics import Metrics

COOKIE = "dandelion_session"
KEPT = 2000  # sessions; beyond it the least recently used one (LRU) of the address that has most is evicted


class Visitor(NamedTuple):
    """Who opened a page: the name in the session cookie, and the client's address (empty: a proxy that tells none)."""

    name: str
    address: str


@dataclass(frozen=True)
class Session:
    """What one visitor has chosen. `key` is never logged, stored or sent to the page.

    `operator_origin` is the origin at which a browser on this machine has opened the page as the operator's own, by the
    handshake of the page's channel; empty for all others.
    """

    target: str
    key: str = ""
    operator_origin: str = ""

    def __repr__(self) -> str:
        """Without the key: a session may turn up in a log."""
        return f"Session({self.target!r})"


class Sessions:
    """Sessions by the random name in the visitor's cookie. A name costs no memory until something is chosen."""

    def __init__(self, default: str, metrics: Metrics, kept: int = KEPT) -> None:
        """Who has chosen nothing asks the appliance `default`."""
        self._default = Session(default)
        self._metrics = metrics
        self._kept = kept
        self._secret = secrets.token_bytes(32)
        self._sessions: OrderedDict[Visitor, Session] = OrderedDict()
        self._visitors: dict[str, Visitor] = {}

    def new_name(self) -> str:
        """A name for the cookie of a new visitor, signed, so that it is known again without being kept."""
        name = secrets.token_urlsafe(24)
        return f"{name}.{self._signature(name)}"

    def issued(self, name: str) -> bool:
        """Whether a cookie's name is one of ours; any other is never adopted (session fixation)."""
        random, _, signature = name.partition(".")
        return name.isascii() and hmac.compare_digest(signature, self._signature(random))

    def of(self, name: str) -> Session:
        """The session of a cookie; the default one if its visitor has chosen nothing."""
        visitor = self._visitors.get(name)
        if visitor is None:
            return self._default
        self._sessions.move_to_end(visitor)
        return self._sessions[visitor]

    def choose(self, visitor: Visitor, session: Session) -> None:
        """Keep what a visitor has chosen, or forget it if that is the default."""
        if not self.issued(visitor.name):
            return
        self._forget(visitor.name)
        if session == self._default:
            return
        self._visitors[visitor.name], self._sessions[visitor] = visitor, session
        if len(self._sessions) > self._kept:
            self._evict()

    def _evict(self) -> None:
        [(busiest, _)] = Counter(visitor.address for visitor in self._sessions).most_common(1)
        self._forget(next(visitor.name for visitor in self._sessions if visitor.address == busiest))
        self._metrics.rejections.labels("page_session").inc()

    def _forget(self, name: str) -> None:
        visitor = self._visitors.pop(name, None)
        if visitor:
            del self._sessions[visitor]

    def _signature(self, name: str) -> str:
        return hmac.new(self._secret, name.encode(), sha256).hexdigest()[:32]
