"""Decoding memory: a weighted semaphore over the bytes that all photos being decoded take, first come first served."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class DecodingMemory:
    """Bytes that are taken by photos being decoded. Thread-safe."""

    def __init__(self) -> None:
        """Nothing is taken."""
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()
        self._taken = 0

    @property
    def taken_bytes(self) -> int:
        """What the photos in progress take together."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many photos wait for memory."""
        return len(self._queue)

    @contextmanager
    def take(self, size_bytes: int, most_bytes: int) -> Iterator[None]:
        """Take `size_bytes` for the block; wait until all that is taken fits into `most_bytes`, or nothing else is.

        Whoever came first is served first: small photos cannot keep a large one waiting for ever.
        """
        turn = object()

        def is_next() -> bool:
            return self._queue[0] is turn and (not self._taken or self._taken + size_bytes <= most_bytes)

        with self._changed:
            self._queue.append(turn)
            try:
                self._changed.wait_for(is_next)
                self._taken += size_bytes
            finally:
                self._queue.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size_bytes
                self._changed.notify_all()


decoding_memory = DecodingMemory()  # of this process
