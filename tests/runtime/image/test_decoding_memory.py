"""The semaphore over the memory of photos that are being decoded."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from runtime.image.decoding_memory import DecodingMemory
from tests.support.waiting import wait_until


class Photo:
    """Takes memory in a thread of its own, until it is told to end."""

    def __init__(self, memory: DecodingMemory, size: int, most: int = 100) -> None:
        self.decoding = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(memory, size, most))
        self._thread.start()

    def _run(self, memory: DecodingMemory, size: int, most: int) -> None:
        with memory.take(size, most):
            self.decoding = True
            self._end.wait(30)

    def end(self) -> None:
        self._end.set()
        self._thread.join()


def test_as_many_as_fit_are_decoded_at_once() -> None:
    memory = DecodingMemory()
    with ExitStack() as ended:
        first, second, third = (Photo(memory, size) for size in (50, 50, 1))
        for photo in (first, second, third):
            ended.callback(photo.end)
        wait_until(lambda: first.decoding and second.decoding, "both fit")
        assert memory.taken_bytes == 100
        assert not third.decoding
        first.end()
        wait_until(lambda: third.decoding, "there is room")
        assert memory.taken_bytes == 51
    assert memory.taken_bytes == 0


def test_a_large_one_is_not_passed_by_small_ones_that_came_later() -> None:
    memory = DecodingMemory()
    with ExitStack() as ended:
        first = Photo(memory, 60)
        ended.callback(first.end)
        wait_until(lambda: first.decoding, "it is alone")
        large = Photo(memory, 90)
        ended.callback(large.end)
        wait_until(lambda: memory.waiting == 1, "it waits")
        small = Photo(memory, 10)
        ended.callback(small.end)
        wait_until(lambda: memory.waiting == 2, "it waits behind the large one")
        assert not small.decoding
        first.end()
        wait_until(lambda: large.decoding and small.decoding, "both fit, in their order")


def test_one_that_is_larger_than_all_of_it_is_decoded_alone() -> None:
    memory = DecodingMemory()
    with memory.take(1000, 100):
        assert memory.taken_bytes == 1000
    assert memory.taken_bytes == 0
