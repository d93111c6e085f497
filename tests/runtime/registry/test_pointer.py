"""Whose word the pointer is: signed, counted, and of the product that serves."""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec
import pytest

from runtime.bundle.manifest import BundleError
from runtime.registry.cache import Cache
from runtime.registry.catalogue import POINTER, Catalogue, key_of
from runtime.registry.pointer import Pointer, check_signature, parse_pointer, signed
from runtime.registry.publish import UnsignedPointer, add, point_at, publish
from runtime.registry.signature import new_keys, public_key, signing_key
from runtime.store import Store, open_store
from tests.support.appliances.following import ADMIN, Followed, refusals, serving
from tests.support.models.bundles import write_bundle
from tests.support.stores.contents import content
from tests.support.waiting import wait_until

PRIVATE, PUBLIC = new_keys()
KEY, VERIFY = signing_key(PRIVATE), public_key(PUBLIC)
HASH = "0" * 64


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", VERIFY)


def test_a_signature_is_of_each_field_and_of_nothing_else():
    pointer = signed(Pointer("v1", HASH), KEY, after=0)
    check_signature(pointer, VERIFY, origin="here")
    for change in ({"version": "v2"}, {"manifest_sha256": "1" * 64}, {"counter": pointer.counter + 1}):
        with pytest.raises(BundleError, match="here: its signature is not of the key in DANDELION_PUBLIC_KEY"):
            check_signature(msgspec.structs.replace(pointer, **change), VERIFY, origin="here")
    with pytest.raises(BundleError, match="not of the key"):
        check_signature(msgspec.structs.replace(pointer, signature="nonsense"), VERIFY, origin="here")


def test_the_counter_grows_whatever_the_clock_says():
    ahead = 2**52
    assert signed(Pointer("v1", HASH), KEY, after=ahead).counter == ahead + 1
    assert signed(Pointer("v1", HASH), KEY, after=0).counter > 1_700_000_000_000  # ms: it outlives a deleted pointer


def test_an_unsigned_pointer_keeps_the_form_that_earlier_readers_know():
    assert msgspec.json.decode(msgspec.json.encode(Pointer("v1", HASH))) == {"version": "v1", "manifest_sha256": HASH}


@pytest.mark.parametrize(
    "data", [b"", b"no JSON", b"[]", b'{"version":"v1"}', b'{"version":"../x"}', b"[" * 3000, b"\xff"]
)
def test_what_is_no_pointer_is_refused_in_one_line(data: bytes):
    with pytest.raises(BundleError, match=r"latest\.json: .*publish a model again") as refused:
        parse_pointer(data, origin="latest.json")
    assert len(str(refused.value).splitlines()) == 1


def test_publishing_with_a_key_signs_bundle_and_pointer(store: Store, cache: Cache, tmp_path: Path):
    pointer = publish(write_bundle(tmp_path / "v1"), store, tag=None, key=KEY)
    assert Catalogue(store).latest() == pointer
    cache.accept(pointer, origin=POINTER)
    cache.pull(Catalogue(store), "v1")
    before = content(store, POINTER)
    publish(tmp_path / "v1", store, tag=Catalogue(store).tag(), key=KEY)  # a second time changes nothing
    assert content(store, POINTER) == before


def test_an_old_pointer_that_was_put_back_is_refused(store: Store, cache: Cache, tmp_path: Path):
    publish(write_bundle(tmp_path / "v1"), store, tag=None, key=KEY)
    old = content(store, POINTER)
    publish(write_bundle(tmp_path / "v2"), store, tag=Catalogue(store).tag(), key=KEY)
    cache.accept(newest(store), origin=POINTER)
    store.write(POINTER, old)
    with pytest.raises(BundleError, match=r"latest\.json: its counter is .* an old pointer was put back.*promote v1"):
        cache.accept(newest(store), origin=POINTER)
    point_at(store, "v1", tag=Catalogue(store).tag(), key=KEY)  # the operator means it
    cache.accept(newest(store), origin=POINTER)


def newest(store: Store) -> Pointer:
    pointer = Catalogue(store).latest()
    assert pointer
    return pointer


def test_of_two_pointers_with_one_counter_the_first_holds(cache: Cache):
    first = signed(Pointer("v1", HASH), KEY, after=0)
    cache.accept(first, origin=POINTER)
    cache.accept(first, origin=POINTER)
    other = signed(Pointer("v2", "1" * 64), KEY, after=2**52)
    behind = signed(Pointer("v2", "1" * 64), KEY, after=first.counter - 1)
    if behind.counter > first.counter:  # a millisecond later
        behind = msgspec.structs.replace(first, version="v2")
    with pytest.raises(BundleError):
        cache.accept(behind, origin=POINTER)
    cache.accept(other, origin=POINTER)


def test_a_signed_bundle_under_an_unsigned_pointer_is_refused_with_the_command(
    store: Store, cache: Cache, tmp_path: Path
):
    unsigned = add(write_bundle(tmp_path / "v1"), store, key=KEY)
    store.write(POINTER, msgspec.json.encode(unsigned))
    with pytest.raises(BundleError, match=r"DANDELION_SIGNING_KEY=FILE python -m runtime models promote v1"):
        cache.accept(newest(store), origin=POINTER)
    point_at(store, "v1", tag=Catalogue(store).tag(), key=KEY)
    cache.accept(newest(store), origin=POINTER)


def test_a_signed_pointer_is_not_replaced_by_one_that_is_not(store: Store, tmp_path: Path):
    publish(write_bundle(tmp_path / "v1"), store, tag=None, key=KEY)
    for write in (
        lambda tag: publish(write_bundle(tmp_path / "v2"), store, tag=tag),
        lambda tag: point_at(store, "v1", tag=tag),
    ):
        with pytest.raises(UnsignedPointer, match=r"latest\.json: is signed, and DANDELION_SIGNING_KEY is not set"):
            write(Catalogue(store).tag())
    assert newest(store).signature


def test_what_somebody_else_put_into_the_store_is_not_promoted(store: Store, tmp_path: Path):
    add(write_bundle(tmp_path / "v1"), store)
    with pytest.raises(BundleError, match=r"v1: is not signed by the key in DANDELION_SIGNING_KEY; publish it again"):
        point_at(store, "v1", tag=None, key=KEY)
    store.write(key_of("v1", "manifest.sig"), b"nonsense")
    with pytest.raises(BundleError, match="is not signed by the key"):
        point_at(store, "v1", tag=None, key=KEY)
    assert Catalogue(store).latest() is None


def test_a_replayed_version_and_another_product_do_not_serve(tmp_path: Path):
    followed = Followed(open_store(str(tmp_path / "store")), tmp_path)
    followed.publish("v1", KEY)
    old = content(followed.store, POINTER)
    followed.publish("v2", KEY)
    with followed.serve(DANDELION_PUBLIC_KEY=PUBLIC, DANDELION_MODEL_NAMES="colours") as server:
        assert serving(server) == "v2"
        followed.store.write(POINTER, old)
        wait_until(
            lambda: any(
                "an old pointer was put back" in reason
                for reason in httpx.get(server.url + "/health").json()["reasons"]
            )
        )
        assert refusals(server) >= 1
        assert serving(server) == "v2"
        before = refusals(server)
        followed.publish("v3", KEY, name="cats-and-dogs")
        wait_until(
            lambda: any("cats-and-dogs" in reason for reason in httpx.get(server.url + "/health").json()["reasons"])
        )
        assert refusals(server) > before
        assert serving(server) == "v2"
        pinned = httpx.post(server.url + "/models/pin", headers=ADMIN, json={"version": "v1"}, timeout=60)
        assert pinned.json()["serving"] == "v1"  # this host's own state: it needs no signature of the pointer
        httpx.post(server.url + "/models/pin", headers=ADMIN, json={"version": None})
        followed.publish("v4", KEY)
        wait_until(lambda: serving(server) == "v4")
    counter = Cache(tmp_path / "cache").state.counter
    assert counter == newest(followed.store).counter  # the pin has not lowered it


def test_the_model_that_serves_says_which_product_may_follow(tmp_path: Path):
    followed = Followed(open_store(str(tmp_path / "store")), tmp_path)
    followed.publish("v1", KEY, name="dandelion-classifier")
    with followed.serve(DANDELION_PUBLIC_KEY=PUBLIC) as server:
        assert serving(server) == "v1"
        followed.publish("v2", KEY)
        wait_until(lambda: refusals(server) >= 1)
        reason = next(iter(httpx.get(server.url + "/health").json()["reasons"]))
        assert "is the model colours, and dandelion-classifier serves here; name it in DANDELION_MODEL_NAMES" in reason
        assert serving(server) == "v1"
