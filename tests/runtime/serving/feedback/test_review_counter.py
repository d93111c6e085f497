"""What waits for review is counted cheaply; what a kill left alone is removed, and nothing else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

import runtime.serving.feedback.review_counter
from runtime.serving.feedback.client_quotas import DAY_S, ClientQuotas
from runtime.serving.feedback.correction import Correction, write_correction
from runtime.serving.feedback.limits import Amount, ClientLimit
from runtime.serving.feedback.review import corrections, review
from runtime.serving.feedback.review_counter import ReviewCounter
from runtime.store import Missing, Store, StoreError
from runtime.store.folder import FolderStore
from tests.support.stores.s3 import S3Server

PLENTY = Amount(1000, 2**30)


class Watched(FolderStore):
    """Remembers the keys that were read; cannot be listed while it is `away`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_keys: list[str] = []

    def read(self, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        self.read_keys.append(key)
        return super().read(key, max_bytes=max_bytes)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(tmp_path / "data")
    s3: S3Server = request.getfixturevalue("s3")
    return s3.new_bucket(re.sub(r"[^a-z0-9]+", "-", tmp_path.name.lower()).strip("-"))


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "data")


def add(store: Store, number: int, label: str = "grass") -> Correction:
    """Keep what is no photo: to count does not decode."""
    data = b"photo %d" % number
    correction = Correction(hashlib.sha256(data).hexdigest(), label, None, None, "2026-01-01T00:00:00+00:00")
    write_correction(store, data, "JPEG", correction)
    return correction


def counter(store: Store, enough: Amount = PLENTY) -> ReviewCounter:
    return ReviewCounter(store, enough, nullcontext)


def test_photos_wait_until_they_are_accepted_or_rejected(store: Store):
    names = [add(store, number).name for number in range(3)]
    counts = counter(store)
    assert counts.count() == dict.fromkeys(names, len(b"photo 0"))
    review(store, names[0].rsplit("/")[-1], "accepted")
    review(store, names[1].rsplit("/")[-1], "rejected")
    assert set(counts.count()) == {names[2]}
    assert set(counter(store).count()) == {names[2]}


def test_only_records_that_are_new_or_have_changed_are_read(watched: Watched):
    first, second = add(watched, 1), add(watched, 2)
    counts = counter(watched)
    assert len(counts.count()) == len(watched.read_keys) == 2
    review(watched, first.sha256, "accepted")
    third = add(watched, 3, "dandelion")
    watched.read_keys.clear()
    assert set(counts.count()) == {second.name, third.name}
    assert set(watched.read_keys) == {f"{first.name}.json", f"{third.name}.json"}
    watched.read_keys.clear()
    counts.count()
    assert watched.read_keys == []


@pytest.mark.parametrize("enough", [Amount(4, 2**30), Amount(1000, 4 * len(b"photo 0"))])
def test_of_more_than_enough_no_more_is_read(enough: Amount, watched: Watched):
    for number in range(9):
        add(watched, number)
    assert len(counter(watched, enough).count()) == len(watched.read_keys) == 4


@pytest.mark.parametrize("content", [b"{", b"[]", b" " * 2**15])
def test_a_record_that_cannot_be_read_takes_room_until_it_is_deleted(content: bytes, store: Store):
    name = add(store, 1).name
    store.write(f"{name}.json", content)
    assert set(counter(store).count()) == {name}
    store.delete(f"{name}.json")
    store.delete(f"{name}.jpeg")
    assert counter(store).count() == {}


def test_what_was_left_alone_is_removed_once_it_is_old_and_nothing_else(store: Store, monkeypatch: pytest.MonkeyPatch):
    whole, photo, record = (add(store, number) for number in range(3))
    store.delete(f"{photo.name}.json")
    store.delete(f"{record.name}.jpeg")
    store.write("feedback/grass/notes.txt", b"somebody's own")
    counts = counter(store)
    for _ in range(3):
        assert set(counts.count()) == {whole.name, photo.name}
        assert not counts.doubtful
    assert len(list(store.list())) == 5
    monkeypatch.setattr(runtime.serving.feedback.review_counter, "ALONE_S", -60)  # nothing can be made old in S3
    assert set(counts.count()) == {whole.name, photo.name}
    assert counts.doubtful
    assert set(counts.count()) == {whole.name}
    assert not counts.doubtful
    assert [entry.key for entry in store.list()] == [
        f"{whole.name}.jpeg",
        f"{whole.name}.json",
        "feedback/grass/notes.txt",
    ]


def test_a_photo_that_is_sent_again_just_before_it_would_be_removed_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(runtime.serving.feedback.review_counter, "ALONE_S", -60)
    alone = add(store, 1)
    store.delete(f"{alone.name}.json")
    counts = ReviewCounter(store, PLENTY, lambda name: nullcontext(add(store, 1)))
    assert set(counts.count()) == set(counts.count()) == {alone.name}
    assert [one.sha256 for one in corrections(store)] == [alone.sha256]


def test_a_count_that_fails_removes_nothing_and_is_made_again(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    name = add(watched, 1).name
    counts = counter(watched)

    def refuse(key: str, *, max_bytes: int) -> tuple[bytes, str]:
        raise StoreError("away")

    def lose(key: str, *, max_bytes: int) -> tuple[bytes, str]:
        raise Missing("deleted meanwhile")

    with monkeypatch.context() as patched:
        patched.setattr(watched, "read", refuse)
        with pytest.raises(StoreError, match="away"):
            counts.count()
        patched.setattr(watched, "read", lose)
        assert counter(watched).count() == {}
    assert set(counts.count()) == {name}


@pytest.fixture
def clock() -> Callable[[], float]:
    return iter([0.0, 3600.0, 7200.0, DAY_S - 0.5, DAY_S + 1.0, DAY_S + 2.0]).__next__


def test_a_client_sends_on_when_enough_of_its_day_has_passed(clock: Callable[[], float]):
    shares = ClientQuotas(Amount(2, 100), clock)
    shares.take("a", 60)
    shares.take("a", 40)
    with pytest.raises(ClientLimit, match=r"^2 corrected photos .* in 22 h, or") as refused:
        shares.take("a", 1)
    assert refused.value.retry_after_s == DAY_S - 7200
    with pytest.raises(ClientLimit) as refused:
        shares.take("a", 61)  # it takes both photos to be forgotten
    assert refused.value.retry_after_s == 3601
    shares.take("a", 60)
    with pytest.raises(ClientLimit):
        shares.take("a", 1)


def test_a_photo_that_was_not_kept_goes_back_and_a_lone_one_is_always_taken():
    shares = ClientQuotas(Amount(1, 100))
    shares.give_back(shares.take("a", 1000))
    shares.take("a", 1000)
    shares.take("b", 1)
    with pytest.raises(ClientLimit):
        shares.take("a", 1)


def test_clients_are_forgotten_after_a_day_or_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("runtime.serving.feedback.client_quotas.MAX_REMEMBERED", 4)
    now = 0.0
    shares = ClientQuotas(Amount(2, 100), lambda: now)
    for client in "abcdefg":
        shares.take(client, 1)
    assert shares.clients == 4
    now = DAY_S + 1.0
    shares.take("h", 1)
    assert shares.clients == 1
