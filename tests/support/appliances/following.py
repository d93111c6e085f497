"""An appliance that follows a store, for tests that change what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from nacl.signing import SigningKey
from prometheus_client.parser import text_string_to_metric_families

from runtime.api.security.keys import new_key
from runtime.registry.catalogue import Catalogue
from runtime.registry.pointer import Pointer
from runtime.registry.publish import publish
from runtime.store import Store
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo
from tests.support.suite.repeats import THOROUGH

KEY, ENTRY = new_key()
ADMIN = {"x-api-key": KEY}


class Followed:
    """A store, a folder to make bundles in, and an appliance that follows the store."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder

    def publish(self, version: str, key: SigningKey | None = None, **changes: Any) -> Pointer:
        bundle = self.folder / version
        if not bundle.exists():
            write_bundle(bundle, **changes)
        return publish(bundle, self.store, tag=Catalogue(self.store).tag(), key=key)

    def serve(self, *, module: Sequence[str] = ("runtime",), from_scratch: bool = THOROUGH, **environment: str) -> Any:
        defaults = {
            "DANDELION_MODELS": self.store.uri,
            "DANDELION_CACHE": str(self.folder / "cache"),
            "DANDELION_POLL_S": "0.1",
            "DANDELION_ADMIN_KEYS": ENTRY,
        }
        return appliance(self.folder, module=module, from_scratch=from_scratch, **(defaults | environment))


def serving(server: Appliance) -> str:
    return str(
        httpx.post(server.url + "/predict", files={"file": photo()}).raise_for_status().json()["model"]["version"]
    )


def metric(server: Appliance, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(httpx.get(server.url + "/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def refusals(server: Appliance) -> float:
    return metric(server, "dandelion_reloads_total", outcome="refused")
