"""One set of promises, kept by a folder and by a real S3 server."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from runtime.host.atomic import temporary_folder
from runtime.store import Conflict, Missing, S3Settings, Store, StoreError, TooLarge, open_store
from tests.support.stores.contents import MANY_BYTES, content
from tests.support.stores.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.suite.repeats import repeats
from tests.support.suite.system_packages import needs_root

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    server: S3Server = request.getfixturevalue("s3")
    bucket = server.new_bucket(f"b{abs(hash(request.node.nodeid)) % 10**12}")
    return server.open(f"{bucket.uri}/some/prefix")


def test_what_is_written_is_read(store: Store):
    tag = store.write("a/b.txt", b"one")
    assert store.read("a/b.txt", max_bytes=MANY_BYTES) == (b"one", tag)
    assert store.write("a/b.txt", b"two") != tag
    assert content(store, "a/b.txt") == b"two"


@needs_root
def test_a_folder_that_may_not_be_listed_is_named_and_not_passed_over(tmp_path: Path):
    store = open_store(str(tmp_path))
    store.write("open/a", b"1")
    store.write("closed/deep/b", b"2")
    (tmp_path / "closed" / "deep").chmod(0o700)
    program = "\n".join([
        "import os, sys; from runtime.store import open_store",
        "os.chdir(sys.argv[1]); os.setuid(65534)",  # an ancestor may be closed to others
        "print([entry.key for entry in open_store('.').list('open/')], flush=True); list(open_store('.').list())",
    ])  # fmt: skip
    tmp_path.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "['open/a']\n", done.stderr
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith("Denied: ./closed/deep: Permission denied; check the folder and its permissions")
    )


def test_a_missing_key_is_said_to_be_missing(store: Store, tmp_path: Path):
    with pytest.raises(Missing, match=r"nowhere\.txt: is not there"):
        store.read("nowhere.txt", max_bytes=MANY_BYTES)
    with pytest.raises(Missing):
        store.download("nowhere.txt", tmp_path / "file", max_bytes=MANY_BYTES)
    assert not (tmp_path / "file").exists()
    store.delete("nowhere.txt")


def test_a_write_that_must_be_the_first_is_refused_as_the_second(store: Store):
    store.write("pointer", b"one", replaces=None)
    with pytest.raises(Conflict, match="another writer"):
        store.write("pointer", b"two", replaces=None)
    assert content(store, "pointer") == b"one"


def test_a_write_on_a_stale_tag_is_refused(store: Store):
    old = store.write("pointer", b"one")
    new = store.write("pointer", b"two", replaces=old)
    with pytest.raises(Conflict):
        store.write("pointer", b"three", replaces=old)
    store.write("pointer", b"four", replaces=new)
    assert content(store, "pointer") == b"four"


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
    assert content(store, "pointer") == won[0]


def test_keys_are_listed_in_order_below_a_prefix(store: Store):
    for key in ("b/2", "a/1", "b/1", "bc"):
        store.write(key, key.encode())
    assert [entry.key for entry in store.list()] == ["a/1", "b/1", "b/2", "bc"]
    assert [(entry.key, entry.size_bytes) for entry in store.list("b/")] == [("b/1", 3), ("b/2", 3)]
    store.delete("b/1")
    assert [entry.key for entry in store.list("b")] == ["b/2", "bc"]
    assert [list(store.list(prefix)) for prefix in ("d/", "bc/", "a/../b/", "../")] == [[], [], [], []]


PAGE = repeats(1000)  # keys, which is what a server gives at once unless it is asked for fewer


def test_more_keys_than_a_page_holds_are_all_listed(s3: S3Server):
    store = s3.new_bucket("pages")
    pages: list[object] = []
    events = store.client.meta.events
    events.register("before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=PAGE))
    events.register("after-call.s3.ListObjectsV2", lambda parsed, **_: pages.append(parsed))
    keys = [f"{number:04}" for number in range(PAGE + 5)]
    for key in keys:
        store.write(key, b"")
    assert [entry.key for entry in store.list()] == keys
    assert len(pages) == 2


def test_a_large_file_goes_there_and_back(store: Store, tmp_path: Path):
    size = 20 * 2**20  # several parts of a multipart upload
    (tmp_path / "large").write_bytes(os.urandom(size))
    store.upload("large", tmp_path / "large")
    store.download("large", tmp_path / "back", max_bytes=size)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "large").read_bytes()


def test_creating_a_store_twice_says_so(tmp_path: Path, s3: S3Server):
    for store in (open_store(str(tmp_path / "new")), s3.open("s3://newly-made")):
        assert store.create()
        assert not store.create()


def test_what_others_put_there_under_no_key_is_not_listed(s3: S3Server, tmp_path: Path):
    bucket = s3.new_bucket("strange-keys")
    client = boto3.client(
        "s3", endpoint_url=s3.endpoint, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )  # fmt: skip
    for key in ("models/a", "models/../out", "models/./b", "models/..", "../up", "models/\x01"):
        with suppress(ClientError):  # servers differ in what they take
            client.put_object(Bucket="strange-keys", Key=key, Body=b"x")
    folder = open_store(str(tmp_path))
    folder.write("models/a", b"x")
    (tmp_path / "models" / "b\nc").touch()
    (tmp_path / os.fsdecode(b"models/\xff")).touch()
    for store in (bucket, folder):
        keys = [entry.key for entry in store.list()]
        assert "models/a" in keys
        assert {store.delete(key) for key in keys} == {None}


def test_a_folder_lets_no_key_out(tmp_path: Path):
    store = open_store(str(tmp_path / "store"))
    for key in ("../secret", "/etc/passwd", "a/../../b", ""):
        with pytest.raises(StoreError, match="no key inside this store"):
            store.read(key, max_bytes=MANY_BYTES)


def test_a_half_written_file_of_a_folder_is_no_object(tmp_path: Path):
    store = open_store(str(tmp_path))
    (tmp_path / ".partial-1").write_bytes(b"half")
    assert list(store.list()) == []


def test_what_is_stored_has_its_hash_and_no_more_is_read_than_it_may_be(store: Store):
    store.write("a", b"content")
    assert store.digest("a", max_bytes=8) == (hashlib.sha256(b"content").hexdigest(), 7)
    with pytest.raises(TooLarge, match="larger than the 6 bytes"):
        store.digest("a", max_bytes=6)
    with pytest.raises(Missing):
        store.digest("b", max_bytes=7)


def test_cleaning_up_removes_the_empty_folders_of_a_store_and_nothing_in_use(tmp_path: Path):
    store = open_store(str(tmp_path))
    store.write("models/v1/file", b"")
    (tmp_path / "models" / "v2" / "inner").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    with temporary_folder(tmp_path / "models") as folder:
        assert store.remove_abandoned("models/") == 2
        assert folder.exists()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "models", "other", "v1"]


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
        store.read("key", max_bytes=MANY_BYTES)
    assert "s3://ready" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_missing_bucket_is_named_with_the_remedy(s3: S3Server):
    store = s3.open("s3://never-made")
    with pytest.raises(StoreError, match=r"NoSuchBucket.*create it"):
        store.read("key", max_bytes=MANY_BYTES)  # not a write: this server makes a bucket for it
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
