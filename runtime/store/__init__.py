"""Where photos and models are kept: a folder, or S3; the same few verbs for both, chosen by URI."""

from runtime.store.interface import ANY, Conflict, Entry, Missing, S3Settings, Store, StoreError
from runtime.store.opening import open_store

__all__ = ["ANY", "Conflict", "Entry", "Missing", "S3Settings", "Store", "StoreError", "open_store"]
