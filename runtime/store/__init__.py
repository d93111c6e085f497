"""Object storage for photos and models: a local folder or S3 behind one interface, chosen by URI."""

from runtime.store.interface import (
    ANY,
    Conflict,
    Denied,
    Entry,
    InvalidKey,
    Missing,
    S3Settings,
    Store,
    StoreError,
    TooLarge,
    is_key,
)
from runtime.store.opening import open_store

__all__ = [
    "ANY",
    "Conflict",
    "Denied",
    "Entry",
    "InvalidKey",
    "Missing",
    "S3Settings",
    "Store",
    "StoreError",
    "TooLarge",
    "is_key",
    "open_store",
]
