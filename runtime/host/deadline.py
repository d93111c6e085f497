"""Deadlines for blocking calls: a socket time-out starts again with each byte that a slow server sends.

The call runs in a thread of its own, which is abandoned at the deadline. It ends by itself soon after, at the next byte
or time-out, and frees its resources.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class DeadlineExceeded(Exception):
    """The call did not end in time."""


class GivenUp(BaseException):
    """Raised inside an abandoned call."""


_given_up: set[threading.Thread] = set()


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return or raise what `call` does; raises DeadlineExceeded after `seconds`."""
    future: Future[T] = Future()
    thread = _begin(call, future)
    try:
        return future.result(timeout=max(0.0, seconds))
    except TimeoutError as error:
        if future.done():  # it is the call that raised this
            raise
        _give_up(thread)
        raise DeadlineExceeded from error


async def in_daemon_thread(call: Callable[[], T]) -> T:
    """Run `call` in a daemon thread, which does not delay the shutdown of the process."""
    future: Future[T] = Future()
    _begin(call, future)
    return await asyncio.wrap_future(future)


def _begin(call: Callable[[], T], future: Future[T]) -> threading.Thread:
    def run() -> None:
        try:
            result = call()
        except GivenUp:
            return
        except BaseException as error:
            _settle(future, error=error)
        else:
            _settle(future, result=result)

    thread = threading.Thread(target=run, name="bounded-call", daemon=True)
    thread.start()
    return thread


def _settle(future: Future[T], *, result: T | None = None, error: BaseException | None = None) -> None:
    if future.cancelled():  # by who waited for it in the event loop
        return
    if error is None:
        future.set_result(result)  # type: ignore[arg-type]
    else:
        future.set_exception(error)


def _give_up(thread: threading.Thread) -> None:
    """End the call in `thread`, and earlier ones that still live: Python drops exceptions raised in a callback."""
    _given_up.add(thread)
    for each in list(_given_up):
        if each.is_alive():
            _raise_in(each)
        else:
            _given_up.discard(each)


def _raise_in(thread: threading.Thread) -> None:
    # CPython's own way to raise an exception in another thread: between two of its instructions, never inside C code.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(GivenUp))
