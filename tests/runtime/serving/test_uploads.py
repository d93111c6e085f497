"""Upload memory: what has arrived counts, no client has more than its share, the slowest is given up first."""

from __future__ import annotations

import asyncio

import pytest

from runtime.serving import uploads as module
from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.uploads import Upload, Uploads, default_capacity
from tests.support.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def uploads(clock: Clock) -> Uploads:
    return Uploads(100, share=0.5, retry_after_s=lambda _client, _ahead: 7, clock=clock)


def begun(uploads: Uploads, client: str | None) -> Upload:
    upload = uploads.upload(lambda: client).__enter__()
    upload.on_given_up = lambda: None
    return upload


def test_what_has_arrived_counts_until_the_request_ends(uploads: Uploads) -> None:
    with uploads.upload(lambda: "a") as upload:
        assert (uploads.count, uploads.held_bytes) == (1, 0)
        upload.add(30)
        upload.add(10)
        assert uploads.held_bytes == 40
    assert (uploads.count, uploads.held_bytes) == (0, 0)


def test_a_client_holds_its_share_and_no_more(uploads: Uploads) -> None:
    first, second, other = begun(uploads, "a"), begun(uploads, "a"), begun(uploads, "b")
    other.add(10)
    first.add(30)
    second.add(20)
    with pytest.raises(Overloaded) as refused:
        second.add(1)
    assert (refused.value.reason, refused.value.retry_after_s) == ("client_memory", 7)
    assert uploads.held_bytes == 40
    other.add(40)


def test_a_trusted_proxy_has_no_share_of_its_own(uploads: Uploads) -> None:
    first, second = begun(uploads, None), begun(uploads, None)
    first.add(50)
    second.add(50)


def test_a_single_upload_is_always_let_in(uploads: Uploads) -> None:
    begun(uploads, "a").add(1000)


def test_when_memory_is_short_the_slowest_is_given_up(uploads: Uploads, clock: Clock) -> None:
    stopped, slow, fast = begun(uploads, "a"), begun(uploads, "b"), begun(uploads, "c")
    woken: list[str] = []
    stopped.on_given_up = lambda: woken.append("stopped")
    stopped.add(50)  # all at once, and then nothing
    for _ in range(10):
        clock.now += 1
        slow.add(4)
    fast.add(30)
    assert woken == ["stopped"]
    assert uploads.held_bytes == 70
    with pytest.raises(Overloaded) as refused:
        stopped.add(1)
    assert refused.value.reason == "slow_upload"
    fast.add(20)
    slow.add(1)


def test_the_newcomer_is_refused_if_nobody_is_slower(uploads: Uploads, clock: Clock) -> None:
    fast = [begun(uploads, client) for client in "ab"]
    for _ in range(9):
        clock.now += 1
        for each in fast:
            each.add(5)
    slow = begun(uploads, "c")
    slow.add(1)
    clock.now += 1
    for each in fast:
        each.add(4)
    with pytest.raises(Overloaded) as refused:
        slow.add(5)
    assert refused.value.reason == "memory"


def test_a_small_photo_that_has_just_come_is_spared(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 10)
    large, larger, small = (begun(uploads, client) for client in "abc")
    larger.add(48)
    large.add(46)
    small.add(10)
    assert [large.given_up, larger.given_up, small.given_up] == [True, False, False]


def test_whole_bodies_are_never_given_up(uploads: Uploads) -> None:
    whole, late = begun(uploads, "a"), begun(uploads, "b")
    whole.add(50)
    whole.on_given_up = None  # nobody reads it any more
    late.add(50)
    with pytest.raises(Overloaded):
        late.add(1)
    assert not whole.given_up
    assert not uploads.give_up_slowest()


def test_the_default_follows_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def capacity(available: int | None) -> int:
        monkeypatch.setattr(module, "available_memory", lambda: available)
        return default_capacity()

    assert capacity(2**30) == capacity(None) == 128 * 2**20
    assert capacity(256 * 2**20) == 32 * 2**20
    assert capacity(2**20) == 24 * 2**20


async def waiting(uploads: Uploads, *sizes: int) -> list[tuple[Upload, asyncio.Task[None]]]:
    claims = []
    for size in sizes:
        upload = begun(uploads, "a")
        claims.append((upload, asyncio.create_task(upload.claim(size, patience_s=600))))
        await asyncio.sleep(0)
    return claims


def test_a_large_body_waits_until_its_client_has_room_in_the_order_of_arrival(uploads: Uploads) -> None:
    async def ask() -> None:
        (first, one), (second, two), (third, three) = await waiting(uploads, 30, 30, 10)
        assert (one.done(), two.done(), three.done()) == (True, False, False), "the third overtakes nobody"
        assert uploads.waiting_of("a") == 2
        first.add(30)
        uploads.release(first)
        await asyncio.gather(two, three)
        second.add(30)
        third.add(10)
        assert (uploads.waiting_of("a"), uploads.held_bytes) == (0, 40)

    asyncio.run(ask())


def test_what_a_client_claims_counts_for_itself_alone(uploads: Uploads) -> None:
    async def ask() -> None:
        await begun(uploads, "a").claim(1000, patience_s=0)
        await begun(uploads, "b").claim(30, patience_s=0)
        await begun(uploads, None).claim(1000, patience_s=0)
        with pytest.raises(Overloaded):
            await begun(uploads, "b").claim(30, patience_s=0)
        begun(uploads, "b").add(100)

    asyncio.run(ask())


def test_who_waits_for_room_in_vain_is_told_when_to_come_and_who_leaves_is_forgotten(clock: Clock) -> None:
    asked = []

    def retry_after_s(client: str | None, ahead: int) -> int:
        asked.append((client, ahead))
        return 7

    async def ask() -> None:
        uploads = Uploads(100, share=0.5, retry_after_s=retry_after_s, clock=clock)
        (_, one), (_, two) = await waiting(uploads, 50, 50)
        with pytest.raises(Overloaded) as refused:
            await begun(uploads, "a").claim(50, patience_s=0)
        assert (refused.value.reason, refused.value.retry_after_s) == ("client_memory", 7)
        two.cancel()
        await asyncio.gather(one, two, return_exceptions=True)
        assert uploads.waiting_of("a") == 0

    asyncio.run(ask())
    assert asked == [("a", 1)]
