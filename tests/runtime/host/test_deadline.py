"""Calls that would take for ever end in time, and what they hold is freed."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from runtime.host.deadline import DeadlineExceeded, in_daemon_thread, within
from tests.support.waiting import wait_until


def test_a_call_returns_what_it_returns_and_raises_what_it_raises():
    assert within(60, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0)
    with pytest.raises(TimeoutError, match="its own"):
        within(60, raise_time_out)


def raise_time_out() -> None:
    raise TimeoutError("its own")


def test_a_call_that_takes_too_long_is_given_up_and_frees_what_it_holds():
    freed = threading.Event()

    def drip() -> None:
        try:
            while True:
                time.sleep(0.01)
        finally:
            freed.set()

    with pytest.raises(DeadlineExceeded):
        within(0.1, drip)
    assert freed.wait(60)
    wait_until(lambda: not any(thread.name == "bounded-call" for thread in threading.enumerate()))


def test_nobody_waits_for_a_daemon_thread_but_who_asked():
    async def ask() -> None:
        assert await in_daemon_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await in_daemon_thread(lambda: 1 // 0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(in_daemon_thread(lambda: release.wait(60)), 0.1)

    release = threading.Event()
    began = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - began < 30  # the loop does not wait for what nobody asks for any more
    release.set()
