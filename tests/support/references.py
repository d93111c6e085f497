"""What keeps an object alive: references that are left after a call."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable


def references_left(data: bytes, call: Callable[[bytes], Awaitable[None]]) -> int:
    """How many references to `data` are left after `call`, without the garbage collector's help."""

    async def left() -> int:
        before = sys.getrefcount(data)
        await call(data)
        for _ in range(1000):  # the thread's own variables last a moment longer
            if sys.getrefcount(data) <= before:
                break
            await asyncio.sleep(0.01)
        return sys.getrefcount(data) - before

    gc.collect()
    gc.disable()
    try:
        return asyncio.run(left())
    finally:
        gc.enable()
