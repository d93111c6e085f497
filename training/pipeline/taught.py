"""Photos that a model was taught from on an appliance: the source of a product's training where none is named."""

from __future__ import annotations

from pathlib import Path

from runtime.names import UNKNOWN
from runtime.store.data_trees import TAUGHT, data_tree
from runtime.store.trees import Index, SyncError, read_index
from training.pipeline.runs import Run
from training.storage.locations import Places
from training.storage.sync import download_files, download_tree

RAW, PROCESSED = "raw", "processed"


def taught_index(places: Places, product: str | None = None) -> Index | None:
    """What a product was taught from, the one of `places` if none is named; None if it was not taught.

    Raises SyncError where that is nothing any more, and StoreError.
    """
    prefix = data_tree(product or places.product, TAUGHT)
    index = read_index(places.data_store, prefix)
    if index is not None and not index.files:
        raise SyncError(f"{places.data}/{prefix}: holds no photos; serve the taught model again, or name a source")
    return index


def taught_source(places: Places, run: str, product: str | None) -> Path | None:
    """A folder of `<class>/<photo>` with what a product was taught from; None if no product is named, or it was not."""
    if product is None or taught_index(places, product) is None:
        return None
    folder = Run(places, run).folder / TAUGHT
    download_tree(places.data_store, data_tree(product, TAUGHT), folder)
    return folder


def learned(places: Places) -> frozenset[str]:
    """The SHA-256 of the photos that the product was taught from; none if it was not."""
    index = read_index(places.data_store, places.tree(TAUGHT))
    return frozenset(index.files.values()) if index else frozenset()


def bring_stored(places: Places, raw: Path) -> str | None:
    """Bring the product's stored dataset to `raw`; returns its origin.

    A dataset that came of taught photos is brought as those are by now, with its photos of other things. Raises
    SyncError where there is none, StoreError.
    """
    store, prefix = places.data_store, places.tree(PROCESSED)
    processed = read_index(store, prefix)
    if (processed and processed.origin != TAUGHT) or taught_index(places) is None:
        download_tree(store, prefix, raw)
        return None
    download_tree(store, places.tree(TAUGHT), raw)
    if processed:
        others = {path: sha for path, sha in processed.files.items() if path.startswith(f"{UNKNOWN}/")}
        download_files(store, prefix, others, raw)
    return TAUGHT
