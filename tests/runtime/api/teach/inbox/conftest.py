"""An appliance whose operator allows the inbox, and one of which nobody knows a doubtful answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.api.security.keys import new_key
from tests.support.appliances.servers import Appliance, appliance
from tests.support.models.backbones import module_with_backbone
from tests.support.models.bundles import UNKNOWN_FROM_HALF, write_bundle
from tests.support.waiting import wait_until

WITHIN_S = 60.0


@dataclass
class Desk:
    """An appliance, its administrator, and its folder."""

    server: Appliance
    client: httpx.Client
    folder: Path

    def predict(self, data: bytes, **headers: str) -> dict[str, Any]:
        answer = httpx.post(
            f"{self.server.url}/predict", content=data, headers={"content-type": "image/jpeg", **headers}
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def page(self, **asked: object) -> dict[str, Any]:
        answer = self.client.get("/teach/inbox", params={key: str(value) for key, value in asked.items()})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def waiting(self, count: int) -> list[dict[str, Any]]:
        """The photos that wait, once there are `count` of them."""
        wait_until(lambda: len(self.page()["photos"]) == count, f"{count} photos in the inbox", seconds=WITHIN_S)
        return list(self.page()["photos"])

    def written(self) -> list[Path]:
        """Every file of photos below the cache."""
        return sorted((self.folder / "cache" / "teaching").glob("photos/*/*"))

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).rsplit(" ", 1)[1])

    def dataset(self) -> str:
        made = self.client.post("/teach", json={"name": "meadow"}).json()["id"]
        for label in ("dandelion", "grass", "moss"):
            self.client.put(f"/teach/{made}/classes", json={"label": label})
        return str(made)


@contextmanager
def desk(folder: Path, *options: str, bundle: bool = True, **environment: str) -> Iterator[Desk]:
    """With `bundle` it serves one to which every photo is uncertain or unknown; else its versions come from a store."""
    key, entry = new_key()
    serves = folder / "v1"
    if not serves.exists():
        write_bundle(serves, threshold=1.0, unknown=UNKNOWN_FROM_HALF)
    arguments = (*(("--bundle", str(serves)) if bundle else ()), "--cache", str(folder / "cache"), *options)
    with (
        appliance(
            folder, *arguments, module=module_with_backbone(folder), DANDELION_ADMIN_KEYS=entry, **environment
        ) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=30) as client,
    ):
        yield Desk(server, client, folder)
        assert "Traceback" not in server.log.read_text()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, "--inbox-photos", "10", "--data", str(tmp_path / "data")) as found:
        yield found
