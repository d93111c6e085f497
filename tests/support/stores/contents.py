"""What is in a store, for tests that put it there."""

from __future__ import annotations

from runtime.store import Store

MANY_BYTES = 2**30


def content(store: Store, key: str) -> bytes:
    return store.read(key, max_bytes=MANY_BYTES)[0]
