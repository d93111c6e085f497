"""Example photos: for administrators, unless the operator shows them to everybody; nothing where there are none."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import httpx
import pytest
from PIL import Image

from runtime.api.security.keys import new_key
from runtime.host.photo_limits import PhotoLimits
from runtime.names import DEFAULT_PRODUCT
from runtime.serving.examples import MOST, PER_CLASS, SIDE, Examples
from runtime.store import StoreError, open_store
from runtime.store.folder import FolderStore
from tests.support.appliances.servers import appliance
from tests.support.models.bundles import write_bundle
from tests.support.photos import photo

LIMITS = PhotoLimits()


def add(data: Path, folder: str, count: int, **options: int) -> None:
    (data / folder).mkdir(parents=True)
    for seed in range(count):
        (data / folder / f"{seed}.jpg").write_bytes(photo("grass", seed, **options))


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))


def test_a_few_small_photos_of_each_class_are_found(tmp_path: Path) -> None:
    add(tmp_path, "processed/grass", 5)
    add(tmp_path, "raw/grass", 1)
    add(tmp_path, "raw/a b", 1)
    found = Examples(open_store(str(tmp_path)), LIMITS).of(DEFAULT_PRODUCT, ["grass", "a b", "none"])
    assert {label: len(some) for label, some in found.items()} == {"grass": PER_CLASS, "a b": 1}
    assert all(max(picture(uri).size) <= SIDE for some in found.values() for uri in some)


def test_another_product_shows_its_own_photos(tmp_path: Path) -> None:
    add(tmp_path, "raw/grass", 1)
    add(tmp_path, "products/birds/processed/wren", 1)
    examples = Examples(open_store(str(tmp_path)), LIMITS)
    assert examples.of("birds", ["grass", "wren"]).keys() == {"wren"}
    assert examples.of(DEFAULT_PRODUCT, ["grass", "wren"]).keys() == {"grass"}


def test_of_many_classes_there_are_not_more_photos(tmp_path: Path) -> None:
    labels = [f"class{number:02}" for number in range(MOST + 5)]
    for label in labels[:2] + labels[-2:]:
        add(tmp_path, f"raw/{label}", 3)
    found = Examples(open_store(str(tmp_path)), LIMITS).of(DEFAULT_PRODUCT, labels)
    assert {label: len(some) for label, some in found.items()} == dict.fromkeys(labels[:2], 1)


def test_what_is_no_photo_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "grass"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"text")
    (folder / "b.jpg").write_bytes(photo()[:300])
    (folder / "c.jpg").write_bytes(photo())
    assert len(Examples(open_store(str(tmp_path)), LIMITS).of(DEFAULT_PRODUCT, ["grass"])["grass"]) == 1


def test_photos_are_read_once_and_a_store_that_is_away_shows_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(tmp_path, "raw/grass", 1)
    examples = Examples(open_store(str(tmp_path)), LIMITS)
    assert examples.of(DEFAULT_PRODUCT, ["grass"]).keys() == {"grass"}

    def refuse(*_: object, **__: object) -> object:
        raise StoreError("away")

    monkeypatch.setattr(FolderStore, "list", refuse)
    assert examples.of(DEFAULT_PRODUCT, ["grass"]).keys() == {"grass"}
    assert examples.of(DEFAULT_PRODUCT, ["grass", "other"]) == {}


def test_without_a_store_there_are_none(tmp_path: Path) -> None:
    with appliance(tmp_path, "--bundle", str(write_bundle(tmp_path / "v1"))) as server:
        assert ask(server.url, origin=server.url).json() == {"examples": {}}


def ask(url: str, **headers: str) -> httpx.Response:
    return httpx.get(
        url + "/model/examples", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_strangers_see_photos_only_where_the_operator_says_so(tmp_path: Path) -> None:
    add(tmp_path / "data", "products/colours/raw/grass", 1)
    key, entry = new_key()
    admin, admin_entry = new_key()
    bundle = ("--bundle", str(write_bundle(tmp_path / "v1")), "--data", str(tmp_path / "data"))
    with appliance(tmp_path, *bundle) as server:
        assert ask(server.url).status_code == 403
        assert ask(server.url, origin=server.url, x_forwarded_for="192.0.2.1").status_code == 403
        assert list(ask(server.url, origin=server.url).json()["examples"]) == ["grass"]
    keys = {"DANDELION_API_KEYS": entry, "DANDELION_ADMIN_KEYS": admin_entry}
    with appliance(tmp_path, *bundle, **keys) as server:
        assert ask(server.url, origin=server.url).status_code == ask(server.url, x_api_key=key).status_code == 401
        assert ask(server.url, x_api_key=admin).status_code == 200
    with appliance(tmp_path, *bundle, DANDELION_EXAMPLES="1", DANDELION_API_KEYS=entry) as server:
        assert ask(server.url).status_code == 401
        assert ask(server.url, x_api_key=key).status_code == 200
