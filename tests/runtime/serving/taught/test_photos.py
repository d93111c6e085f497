"""The photos that were taught from lie in the data store: exactly those, and where the pipeline finds them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from runtime.serving.taught.photos import OtherOrigin, TaughtPhoto, remove_photos, send_photos
from runtime.serving.taught.uploads import TaughtPhotos
from runtime.store import Denied, Store, StoreError, open_store
from runtime.store.folder import FolderStore
from runtime.store.trees import read_index
from tests.runtime.serving.conftest import Start
from tests.support.models.taught import taught
from tests.support.photos import photo
from tests.support.stores.contents import content
from tests.support.stores.s3 import S3Server
from tests.support.waiting import wait_until

TREE = "products/gate/taught"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "data"))
    server: S3Server = request.getfixturevalue("s3")
    return server.new_bucket(f"t{abs(hash(request.node.nodeid)) % 10**12}")


def keys(store: Store, below: str = TREE) -> set[str]:
    return {entry.key for entry in store.list(f"{below}/")}


def expected(photos: Sequence[TaughtPhoto]) -> set[str]:
    return {f"{TREE}/{one.label}/{one.sha256}.jpeg" for one in photos} | {f"{TREE}/index.json"}


def test_they_lie_by_label_with_their_hashes_and_a_second_time_nothing_travels(store: Store, tmp_path: Path):
    photos = taught(tmp_path / "photos", ("open", 1), ("open", 2), ("portail fermé", 3))
    assert send_photos(store, "gate", "d1", photos) == 3
    assert keys(store) == expected(photos)
    index = read_index(store, TREE)
    assert index
    assert index.origin == "d1"
    assert index.files == {f"{one.label}/{one.sha256}.jpeg": one.sha256 for one in photos}
    for path, digest in index.files.items():
        assert hashlib.sha256(content(store, f"{TREE}/{path}")).hexdigest() == digest
    assert send_photos(store, "gate", "d1", photos) == 0
    assert read_index(store, TREE) == index


def test_what_was_moved_or_removed_here_is_moved_or_removed_there(store: Store, tmp_path: Path):
    photos = taught(tmp_path / "photos", ("open", 1), ("open", 2), ("shut", 3), ("shut", 4))
    send_photos(store, "gate", "d1", photos)
    moved = [photos[0]._replace(label="shut"), photos[1], photos[3]]
    assert send_photos(store, "gate", "d1", moved) == 1
    assert keys(store) == expected(moved)


def test_a_photo_that_is_gone_or_is_no_longer_what_it_was_is_left_out(store: Store, tmp_path: Path):
    photos = taught(tmp_path / "photos", ("open", 1), ("open", 2), ("shut", 3), ("shut", 4))
    send_photos(store, "gate", "d1", photos[:1])
    for one in photos[:2]:
        one.file.unlink()
    photos[2].file.write_bytes(photo("dandelion", 9))
    assert send_photos(store, "gate", "d1", photos) == 1
    assert keys(store) == expected(photos[3:])


class Meddled(FolderStore):
    """Somebody removes a photo from the host while others are sent."""

    victim: Path | None = None

    def write(self, key: str, data: bytes, **condition: object) -> str:
        if self.victim and "/open/" in key:
            self.victim.unlink(missing_ok=True)
        return super().write(key, data, **condition)  # type: ignore[arg-type]


def test_a_photo_that_is_removed_while_they_are_sent_is_in_no_index(tmp_path: Path):
    photos = taught(tmp_path / "photos", ("open", 1), ("shut", 3))
    store = Meddled(tmp_path / "data")
    store.victim = photos[1].file
    assert send_photos(store, "gate", "d1", photos) == 1
    assert keys(store) == expected(photos[:1])


def test_photos_of_another_dataset_are_never_replaced(store: Store, tmp_path: Path):
    photos = taught(tmp_path / "photos", ("open", 1), ("shut", 3))
    send_photos(store, "gate", "d1", photos)
    with pytest.raises(OtherOrigin, match=r"gate/taught: holds photos of another dataset; give this one another name"):
        send_photos(store, "gate", "d2", photos[:1])
    assert keys(store) == expected(photos)


def test_of_two_datasets_that_come_at_once_one_has_the_place(tmp_path: Path):
    photos = taught(tmp_path / "photos", *(("open", seed) for seed in range(5)))
    together, refused = threading.Barrier(4), list[str]()

    def send(number: int) -> None:
        together.wait()
        try:
            send_photos(open_store(str(tmp_path / "data")), "gate", f"d{number}", photos)
        except OtherOrigin as error:
            refused.append(str(error))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert keys(open_store(str(tmp_path / "data"))) == expected(photos)


def test_the_raw_photos_of_a_product_are_not_touched(store: Store, tmp_path: Path):
    store.write("products/gate/raw/open/1.jpg", b"somebody's")
    send_photos(store, "gate", "d1", taught(tmp_path / "photos", ("open", 1), ("shut", 3)))
    assert content(store, "products/gate/raw/open/1.jpg") == b"somebody's"


def uploads(tmp_path: Path, store: Store) -> TaughtPhotos:
    return TaughtPhotos(store, tmp_path / "orders", retry_s=0.05)


def test_they_are_sent_in_the_background_and_a_later_order_counts(tmp_path: Path):
    store, photos = open_store(str(tmp_path / "data")), taught(tmp_path / "photos", ("open", 1), ("shut", 3))
    sender = uploads(tmp_path, store)
    sender.send_later("gate", "d1", photos)
    sender.send_later("gate", "d1", photos[:1])
    assert sender.is_waiting("gate")
    sender.start()
    wait_until(lambda: not sender.is_waiting("gate"))
    sender.stop()
    assert keys(store) == expected(photos[:1])
    assert (sender.troubles, sender.trouble_of("gate")) == ([], None)


def test_a_store_that_is_away_gets_them_when_it_is_back_also_after_a_restart(tmp_path: Path):
    photos = taught(tmp_path / "photos", ("open", 1), ("shut", 3))
    (tmp_path / "data").touch()  # a file where the store should be
    store = open_store(str(tmp_path / "data"))
    sender = uploads(tmp_path, store)
    sender.send_later("gate", "d1", photos)
    sender.start()
    trouble = wait_until(lambda: sender.trouble_of("gate"))
    sender.stop()
    assert trouble.startswith("the photos of gate are not in the data store: ")
    (tmp_path / "data").unlink()
    again = uploads(tmp_path, store)
    again.start()
    wait_until(lambda: not again.is_waiting("gate"))
    again.stop()
    assert keys(store) == expected(photos)


class Faulty(FolderStore):
    """A store with a bug, until it is mended."""

    mended = False

    def list(self, prefix: str = "", **options: object) -> object:  # type: ignore[override]
        if not self.mended:
            raise RuntimeError("a bug")
        return super().list(prefix, **options)  # type: ignore[arg-type]


def test_a_bug_is_a_trouble_and_photos_are_sent_once_it_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    store, photos = Faulty(tmp_path / "data"), taught(tmp_path / "photos", ("open", 1))
    sender = uploads(tmp_path, store)
    sender.send_later("gate", "d1", photos)
    sender.start()
    trouble = wait_until(lambda: sender.trouble_of("gate"), seconds=20)
    assert trouble == "the photos of gate are not in the data store: the appliance failed; its log says why"
    assert "RuntimeError: a bug" in caplog.text
    store.mended = True
    wait_until(lambda: not sender.is_waiting("gate"), seconds=20)
    sender.stop()
    assert keys(store) == expected(photos)


class Forbidden(FolderStore):
    """A store whose key may not do this."""

    def list(self, prefix: str = "", **_: object) -> object:  # type: ignore[override]
        raise Denied(f"{self.uri}/{prefix}: the server refused (AccessDenied); check MINIO_ACCESS_KEY")


def test_a_key_that_may_not_write_them_is_told_with_what_to_do(tmp_path: Path):
    sender = uploads(tmp_path, Forbidden(tmp_path / "data"))
    sender.send_later("gate", "d1", taught(tmp_path / "photos", ("open", 1)))
    assert sender.send() is False
    assert sender.troubles
    assert "AccessDenied" in sender.troubles[0]
    assert sender.troubles[0].endswith("docs/teach.md says what its key must be allowed to do")


@pytest.mark.parametrize("note", [b"nonsense", b'{"product":"../raw","dataset":"d1","photos":[]}'])
def test_an_order_that_cannot_be_read_is_dropped(tmp_path: Path, note: bytes):
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders/gate.json").write_bytes(note)
    assert uploads(tmp_path, open_store(str(tmp_path / "data"))).send() is True
    assert not list((tmp_path / "orders").iterdir())


def test_an_appliance_sends_them_and_says_where_they_are_not(start: Start, tmp_path: Path):
    (tmp_path / "data").touch()
    appliance = start(data=str(tmp_path / "data"))
    assert appliance.taught_photos
    photos = taught(tmp_path / "photos", ("open", 1), ("shut", 3))
    appliance.taught_photos.send_later("gate", "d1", photos)
    wait_until(lambda: any("photos of gate" in trouble for trouble in appliance.troubles()))
    (tmp_path / "data").unlink()
    wait_until(lambda: not appliance.troubles())
    assert keys(open_store(str(tmp_path / "data"))) == expected(photos)


def test_without_a_data_store_there_is_nothing_to_send_to(start: Start):
    assert start().taught_photos is None


def test_a_store_that_fails_in_the_middle_keeps_the_old_tree_whole(tmp_path: Path):
    photos = taught(tmp_path / "photos", *(("open", seed) for seed in range(6)))
    send_photos(open_store(str(tmp_path / "data")), "gate", "d1", photos[:2])

    class Failing(FolderStore):
        left = 2

        def write(self, key: str, data: bytes, **condition: object) -> str:
            self.left -= 1
            if self.left < 0:
                raise StoreError(f"{self.uri}: is away")
            return super().write(key, data, **condition)  # type: ignore[arg-type]

    with pytest.raises(StoreError, match="is away"):
        send_photos(Failing(tmp_path / "data"), "gate", "d1", photos[1:])
    store = open_store(str(tmp_path / "data"))
    index = read_index(store, TREE)
    assert index
    assert all(f"{TREE}/{path}" in keys(store) for path in index.files)
    send_photos(store, "gate", "d1", photos[1:])
    assert keys(store) == expected(photos[1:])


def test_what_was_sent_of_a_dataset_is_removed_with_it_and_the_place_is_free(tmp_path: Path):
    store, photos = open_store(str(tmp_path / "data")), taught(tmp_path / "photos", ("open", 1), ("shut", 3))
    sender = uploads(tmp_path, store)
    for product in ("gate", "door"):
        sender.send_later(product, "d1", photos)
    sender.send_later("cat", "d2", photos)
    assert sender.send() is True
    again = uploads(tmp_path, store)
    again.send_later("window", "d1", photos)  # which is not sent any more
    again.forget("d1")
    assert again.send() is True
    assert {key.split("/")[1] for key in keys(store, "products")} == {"cat"}
    again.send_later("gate", "d3", photos[:1])
    assert again.send() is True
    assert keys(store) == expected(photos[:1])
    again.forget("d1")
    assert again.send() is True
    assert keys(store) == expected(photos[:1])


def test_photos_of_another_dataset_are_not_removed(store: Store, tmp_path: Path):
    photos = taught(tmp_path / "photos", ("open", 1))
    send_photos(store, "gate", "d1", photos)
    assert remove_photos(store, "gate", "d2") is False
    assert keys(store) == expected(photos)
    assert remove_photos(store, "gate", "d1") is True
    assert keys(store) == set()
    assert remove_photos(store, "gate", "d1") is False
