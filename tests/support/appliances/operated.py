"""An appliance that follows a store of two versions, for tests of who may change which one serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.registry.catalogue import Catalogue
from runtime.registry.publish import publish
from runtime.store import open_store
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle


@contextmanager
def operated(folder: Path, module: str = "runtime", **settings: str) -> Iterator[Appliance]:
    """Of its versions v1 and v2 the second serves."""
    store = open_store(str(folder / "store"))
    for name in ("v1", "v2"):
        publish(write_bundle(folder / name), store, tag=Catalogue(store).tag())
    places = {"DANDELION_MODELS": store.uri, "DANDELION_CACHE": str(folder / "cache"), "DANDELION_POLL_S": "0.5"}
    with appliance(folder, module=(module,), **places, **settings) as running:
        yield running
