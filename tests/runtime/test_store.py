"""One set of promises, kept by a folder and by a real S3 server."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from runtime.store import Conflict, Missing, S3Settings, Store, StoreError, open_store
from tests.s3 import S3Server


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    server: S3Server = request.getfixturevalue("s3")
    bucket = server.new_bucket(f"b{abs(hash(request.node.nodeid)) % 10**12}")
    return server.open(f"{bucket.uri}/some/prefix")


def test_what_is_written_is_read(store: Store):
    tag = store.write("a/b.txt", b"one")
    assert store.read("a/b.txt") == (b"one", tag)
    assert store.write("a/b.txt", b"two") != tag
    assert store.read("a/b.txt")[0] == b"two"


def test_a_missing_key_is_said_to_be_missing(store: Store, tmp_path: Path):
    with pytest.raises(Missing, match=r"nowhere\.txt: is not there"):
        store.read("nowhere.txt")
    with pytest.raises(Missing):
        store.download("nowhere.txt", tmp_path / "file")
    assert not (tmp_path / "file").exists()
    store.delete("nowhere.txt")


def test_a_write_that_must_be_the_first_is_refused_as_the_second(store: Store):
    store.write("pointer", b"one", replaces=None)
    with pytest.raises(Conflict, match="somebody else"):
        store.write("pointer", b"two", replaces=None)
    assert store.read("pointer")[0] == b"one"


def test_a_write_on_a_stale_tag_is_refused(store: Store):
    old = store.write("pointer", b"one")
    new = store.write("pointer", b"two", replaces=old)
    with pytest.raises(Conflict):
        store.write("pointer", b"three", replaces=old)
    store.write("pointer", b"four", replaces=new)
    assert store.read("pointer")[0] == b"four"


def test_of_many_writers_at_once_one_wins(store: Store):
    tag = store.write("pointer", b"start")
    barrier = threading.Barrier(6)
    won: list[bytes] = []

    def race(mine: bytes) -> None:
        barrier.wait()
        try:
            store.write("pointer", mine, replaces=tag)
        except Conflict:
            return
        won.append(mine)

    threads = [threading.Thread(target=race, args=(str(number).encode(),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.read("pointer")[0] == won[0]


def test_keys_are_listed_in_order_below_a_prefix(store: Store):
    for key in ("b/2", "a/1", "b/1", "bc"):
        store.write(key, key.encode())
    assert [entry.key for entry in store.list()] == ["a/1", "b/1", "b/2", "bc"]
    assert [(entry.key, entry.size_bytes) for entry in store.list("b/")] == [("b/1", 3), ("b/2", 3)]
    store.delete("b/1")
    assert [entry.key for entry in store.list("b")] == ["b/2", "bc"]


def test_more_keys_than_a_page_holds_are_all_listed(s3: S3Server):
    store = s3.new_bucket("pages")
    for number in range(1005):
        store.write(f"{number:04}", b"")
    assert [entry.key for entry in store.list()] == [f"{number:04}" for number in range(1005)]


def test_a_large_file_goes_there_and_back(store: Store, tmp_path: Path):
    size = 20 * 2**20  # several parts of a multipart upload
    (tmp_path / "large").write_bytes(os.urandom(size))
    store.upload("large", tmp_path / "large")
    store.download("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()


def test_creating_a_store_twice_says_so(tmp_path: Path, s3: S3Server):
    for store in (open_store(str(tmp_path / "new")), s3.open("s3://newly-made")):
        assert store.create()
        assert not store.create()


def test_a_folder_lets_no_key_out(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    for key in ("../secret", "/etc/passwd", "a/../../b", ""):
        with pytest.raises(StoreError, match="no key inside this folder"):
            store.read(key)


def test_a_half_written_file_of_a_folder_is_no_object(tmp_path: Path):
    store = open_store(str(tmp_path))
    (tmp_path / ".partial-1").write_bytes(b"half")
    assert list(store.list()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"secret_key": "wrong"}, "check MINIO_SECRET_KEY|check MINIO_ACCESS_KEY"),
        ({"access_key": "nobody"}, "check MINIO_ACCESS_KEY"),
        ({"endpoint": "http://127.0.0.1:9"}, "check MINIO_ENDPOINT and the network"),
    ],
)
def test_a_wrong_setting_is_named(s3: S3Server, change: dict[str, str], message: str):
    settings = {"endpoint": s3.endpoint, "access_key": s3.settings.access_key, "secret_key": s3.settings.secret_key}
    store = open_store("s3://ready", S3Settings(**(settings | change)))
    with pytest.raises(StoreError, match=message) as refused:
        store.read("key")
    assert "s3://ready" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_missing_bucket_is_named_with_the_remedy(s3: S3Server):
    store = s3.open("s3://never-made")
    with pytest.raises(StoreError, match=r"NoSuchBucket.*create it"):
        store.read("key")  # not a write: this server makes a bucket for it
    with pytest.raises(StoreError, match=r"NoSuchBucket.*create it"):
        list(store.list())


def test_a_uri_of_another_kind_is_refused():
    with pytest.raises(StoreError, match="neither a folder nor s3"):
        open_store("https://example.org/models")
    with pytest.raises(StoreError, match="names no bucket"):
        open_store("s3:///prefix")


def test_the_endpoint_may_be_written_without_its_scheme():
    assert S3Settings.from_environment({"MINIO_ENDPOINT": "minio:9000"}).endpoint == "http://minio:9000"
    assert S3Settings.from_environment({"MINIO_ENDPOINT": "https://s3.example"}).endpoint == "https://s3.example"
    assert S3Settings.from_environment({}) == S3Settings(None, None, None)
