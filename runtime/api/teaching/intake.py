"""Intake of photos to teach from: each is decoded once, which proves it sound and gives its thumbnail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from runtime.api.requests.upload import NamedPhoto
from runtime.image import ImageError
from runtime.serving.engine import Engine
from runtime.serving.scheduling.admission import Overloaded
from runtime.serving.scheduling.scheduler import ClientName
from runtime.serving.settings import Settings
from runtime.teaching.workspace.errors import NoRoom
from runtime.teaching.workspace.photos import SHOWN_NAME, NewPhoto
from runtime.teaching.workspace.records import Added
from runtime.teaching.workspace.thumbnails import with_thumbnail

PATIENCE_S = 20.0  # the longest that photos wait for predictions, which come first

T = TypeVar("T")
Keep = Callable[[NewPhoto], Added]
Source = Callable[[], Awaitable[NamedPhoto]]


class Intake:
    """Decodes and keeps photos in the threads for heavy work: predictions have a higher priority."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        """As many photos at once as the appliance has workers."""
        self._engine = engine
        self._limits = settings.photo_limits
        self._at_once = settings.workers

    async def take(self, sources: Sequence[Source], keep: Keep, client: ClientName) -> list[Added]:
        """What became of each photo, which `keep` keeps in a thread, in their order.

        A photo that cannot be read, or that there is no room for once others were kept, is refused by itself. Raises
        NoRoom if there was none for any of them, and Overloaded if predictions leave no time for photos.
        """
        results: list[tuple[str, Added | NoRoom]] = []
        for start in range(0, len(sources), self._at_once):
            part = sources[start : start + self._at_once]
            decoded = await asyncio.gather(*(self._decode(source, client) for source in part))
            results += await asyncio.get_running_loop().run_in_executor(None, partial(_keep_all, decoded, keep))
            _check_room([result for _, result in results])
        return [_told(name, result) for name, result in results]

    async def decode(self, name: str, data: bytes, client: ClientName) -> NewPhoto:
        """A photo with its thumbnail; raises ImageError, and Overloaded if predictions leave no time for it."""
        cost = await _patiently(lambda: self._engine.cost_of(data))
        job = partial(with_thumbnail, name, data, self._limits)
        return await _patiently(lambda: self._engine.work_heavy(job, cost, client))

    async def _decode(self, source: Source, client: ClientName) -> NewPhoto | Added:
        name, data = await source()
        try:
            return await self.decode(name, data, client)
        except ImageError as error:
            return Added(name[:SHOWN_NAME], None, "refused", str(error), error.code, dict(error.values))


def _keep_all(photos: Sequence[NewPhoto | Added], keep: Keep) -> list[tuple[str, Added | NoRoom]]:
    return [(photo.name, _kept(photo, keep) if isinstance(photo, NewPhoto) else photo) for photo in photos]


def _kept(photo: NewPhoto, keep: Keep) -> Added | NoRoom:
    try:
        return keep(photo)
    except NoRoom as error:
        return error.with_traceback(None)  # whose frames would keep the photo


def _check_room(results: Sequence[Added | NoRoom]) -> None:
    """Raise NoRoom if there was none for any photo so far."""
    for result in results:
        if isinstance(result, Added):
            return
    for result in results:
        if isinstance(result, NoRoom):
            raise result


def _told(name: str, result: Added | NoRoom) -> Added:
    return result if isinstance(result, Added) else Added(name[:SHOWN_NAME], None, "refused", str(result))


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` once predictions leave time for it; raises Overloaded if they leave none for PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await work()
        except Overloaded as error:
            if time.monotonic() + error.retry_after_s > deadline:
                raise
            await asyncio.sleep(error.retry_after_s)
