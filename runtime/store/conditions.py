"""Probe of a store's conditional writes: some S3 servers ignore the conditions, and then two writers both win."""

from __future__ import annotations

import logging
import secrets
from contextlib import suppress
from typing import NamedTuple

from runtime.store.interface import Conflict, Replaces, Store, StoreError

ABSENT = '"00000000000000000000000000000000"'  # an ETag of nothing
log = logging.getLogger(__name__)


class Conditions(NamedTuple):
    """Which conditions a store heeds: a new key (If-None-Match), a known tag (If-Match), a tag of a key that is gone.

    Each is None if it is heeded, else what the store makes of it: `ignored`, or `refused` with the reason.
    """

    new: str | None
    unchanged: str | None
    gone: str | None

    @property
    def trouble(self) -> str:
        """What is not heeded; empty if all are."""
        named = {"If-None-Match": self.new, "If-Match": self.unchanged, "If-Match of a key that is gone": self.gone}
        return ", ".join(f"{condition} is {found}" for condition, found in named.items() if found)


def probe_conditions(store: Store, below: str = "") -> Conditions:
    """Write to a key of its own below the prefix `below`, and remove it. Raises StoreError if it cannot be written."""
    key = f"{below}/".lstrip("/") + f"probe-{secrets.token_hex(8)}"
    try:
        old = store.write(key, b"first")
        store.write(key, b"second")
        heeded = _outcome(store, key, None, False), _outcome(store, key, old, False)
        allowed = _allowed(store, key)
        store.delete(key)
        gone = _outcome(store, key, ABSENT, False)
        store.delete(key)
        made = _outcome(store, key, None, True)
    finally:
        with suppress(StoreError):
            store.delete(key)
    return Conditions(heeded[0] or made, heeded[1] or allowed, gone)


def trouble_with_conditions(store: Store, below: str = "") -> str:
    """What a person should know about the conditional writes of `store`; empty if all is well. Raises StoreError."""
    trouble = probe_conditions(store, below).trouble
    if not trouble:
        return ""
    return (
        f"{store.uri}: the server cannot keep two writers apart ({trouble}): of two who publish at once one is lost, "
        "and both succeed; publish from one place alone, or use another server (docs/stores.md)"
    )


def warn_of_conditions(store: Store, below: str) -> None:
    """Log a warning if `store` does not heed conditions, or cannot be asked."""
    try:
        if trouble := trouble_with_conditions(store, below):
            log.warning("%s", trouble)
    except StoreError as error:
        log.warning("whether the store keeps two writers apart is unknown: %s", error)


def _allowed(store: Store, key: str) -> str | None:
    """None if a write on the tag that is there succeeds."""
    try:
        return _outcome(store, key, store.tag(key), True)
    except StoreError as error:
        return f"refused: {error}"


def _outcome(store: Store, key: str, condition: Replaces, may: bool) -> str | None:
    """None if a write under `condition` succeeds just if it `may`."""
    try:
        store.write(key, b"third", replaces=condition)
    except Conflict:
        return "refused though it holds" if may else None
    except StoreError as error:
        return f"refused: {error}"
    return None if may else "ignored"
