"""An appliance that may be taught, and a client with its administrator's key."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from runtime.api.security.keys import new_key
from tests.support.appliances.servers import appliance
from tests.support.models.backbones import module_with_backbone
from tests.support.models.bundles import write_bundle


@pytest.fixture(scope="module")
def admin() -> tuple[str, str]:
    return new_key()


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    return module_with_backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, admin: tuple[str, str], module: tuple[str, ...]
) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("teach")
    key, entry = admin
    options = ("--bundle", str(write_bundle(folder / "v1")), "--cache", str(folder / "cache"))
    with (
        appliance(folder, *options, module=module, DANDELION_ADMIN_KEYS=entry) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": key}) as client,
    ):
        yield client
        assert "Traceback" not in server.log.read_text()


@pytest.fixture
def dataset(client: httpx.Client) -> str:
    made = client.post("/teach", json={"name": "meadow"})
    assert made.status_code == 201, made.text
    path = f"/teach/{made.json()['id']}"
    for label in ("dandelion", "grass"):
        assert client.put(f"{path}/classes", json={"label": label}).status_code == 200
    return path
