"""What a visitor has chosen, in memory and nowhere else: which appliance, and the API key for it."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass

COOKIE = "dandelion_session"
KEPT = 2000  # visitors; the one who has been away longest is forgotten first


@dataclass
class Session:
    """One visitor. `key` is never logged, stored or sent to the page."""

    target: str
    key: str = ""

    def __repr__(self) -> str:
        """Without the key: a session may turn up in a log."""
        return f"Session({self.target!r})"


class Sessions:
    """Sessions by the random name in the visitor's cookie."""

    def __init__(self, default: str) -> None:
        """New visitors ask the appliance `default`."""
        self._default = default
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def of(self, name: str | None) -> Session:
        """The session of a cookie, made where it is new; an unknown name is never taken over."""
        session = self._sessions.get(name or "")
        if session is None or name is None:
            return Session(self._default)
        self._sessions.move_to_end(name)
        return session

    def begin(self) -> str:
        """A new session; returns its name for the cookie."""
        name = secrets.token_urlsafe(24)
        self._sessions[name] = Session(self._default)
        while len(self._sessions) > KEPT:
            self._sessions.popitem(last=False)
        return name

    def knows(self, name: str | None) -> bool:
        """Whether a cookie's name is one of ours."""
        return name in self._sessions
