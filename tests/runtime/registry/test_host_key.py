"""The key of a host: made once, for its owner alone; it counts on that host and on no other."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from runtime.bundle.manifest import SIGNATURE, BundleError
from runtime.host.atomic import TEMPORARY
from runtime.registry.cache import Cache
from runtime.registry.host_key import HOST_KEY, host_key, host_public_key
from runtime.registry.signature import BadKey, new_keys, public_key, sign_folder, signing_key
from tests.support.models.bundles import write_bundle

PROCESSES = 4


def test_it_is_made_once_whoever_asks_at_once_and_only_its_owner_may_read_it(tmp_path: Path):
    cache = tmp_path / "cache"
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        keys = pool.map(key_in, [cache] * PROCESSES)
    assert {*keys} == {bytes(host_key(cache))}
    assert (cache / HOST_KEY).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in cache.iterdir()] == [HOST_KEY]


def key_in(cache: Path) -> bytes:
    return bytes(host_key(cache))


def test_nobody_who_only_looks_makes_one(tmp_path: Path):
    assert host_public_key(tmp_path / "cache") is None
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\xfe"])
def test_a_damaged_one_is_refused_and_says_what_deleting_it_means(tmp_path: Path, content: bytes):
    (tmp_path / HOST_KEY).write_bytes(content)
    with pytest.raises(BadKey, match=r"host\.key: is no key that can be read; restore it, or delete it: what was taug"):
        host_key(tmp_path)


def test_it_counts_on_its_host_alone_beside_the_operators(tmp_path: Path):
    private, public = new_keys()
    ours, theirs = (Cache(tmp_path / name, public_key(public)) for name in ("ours", "theirs"))
    bundle = write_bundle(tmp_path / "v1")
    ours.sign(bundle)
    assert ours.add(bundle).manifest.version == "v1"
    with pytest.raises(BundleError, match="not of the key in DANDELION_PUBLIC_KEY"):
        theirs.add(bundle)
    sign_folder(bundle, signing_key(private))
    assert theirs.add(bundle).manifest.version == ours.add(bundle).manifest.version == "v1"


def test_what_the_operator_has_signed_is_not_signed_again(tmp_path: Path):
    private, public = new_keys()
    bundle = write_bundle(tmp_path / "v1")
    signature = sign_folder(bundle, signing_key(private)).read_bytes()
    Cache(tmp_path / "cache", public_key(public)).sign(bundle)
    assert (bundle / SIGNATURE).read_bytes() == signature
    assert not (tmp_path / "cache" / HOST_KEY).exists()


def test_where_no_signature_is_asked_for_none_is_made(tmp_path: Path):
    bundle = write_bundle(tmp_path / "v1")
    Cache(tmp_path / "cache").sign(bundle)
    assert not (bundle / SIGNATURE).exists()


def test_a_damaged_key_keeps_nobody_from_what_the_operator_has_signed(tmp_path: Path):
    private, public = new_keys()
    cache = Cache(tmp_path / "cache", public_key(public))
    bundle = write_bundle(tmp_path / "v1")
    sign_folder(bundle, signing_key(private))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / HOST_KEY).write_bytes(b"rotten")
    assert cache.add(bundle).manifest.version == "v1"
    assert not list(tmp_path.rglob(f"{TEMPORARY}*"))
