"""One look at a store has one limit of time, however many steps it takes."""

from __future__ import annotations

import time
from pathlib import Path

from runtime.registry.cache import Cache
from runtime.registry.catalogue import Catalogue
from runtime.serving.monitoring.metrics import Metrics
from runtime.serving.versions.reloader import Reloader
from runtime.serving.versions.store_deadline import PollTiming
from runtime.store import open_store
from runtime.store.folder import FolderStore
from tests.support.appliances.following import Followed
from tests.support.hostile.world import InProcess, stand_in

LOOK_S = 2.0


class SlowStore(FolderStore):
    """Each answer takes two thirds of what a look may take."""

    asked = 0

    def read(self, key: str, *, max_bytes: int) -> tuple[bytes, str]:
        SlowStore.asked += 1
        time.sleep(LOOK_S * 2 / 3)
        return super().read(key, max_bytes=max_bytes)


def test_the_steps_of_a_look_share_its_time(tmp_path: Path):
    folder = tmp_path / "store"
    Followed(open_store(str(folder)), tmp_path).publish("v1")
    cache = Cache(tmp_path / "cache")
    trials = InProcess(cache.state_file, seconds=60, memory_bytes=None)
    catalogue = Catalogue(SlowStore(folder))
    reloader = Reloader(catalogue, cache, trials, stand_in, Metrics(), timing=PollTiming(0.1, LOOK_S))
    reloader.poll()
    trouble = reloader.status.trouble
    assert trouble
    assert "did not answer within 2 s (DANDELION_LOOK_S)" in trouble
    assert SlowStore.asked == 2  # the pointer in time, the manifest not: nothing further is asked
    assert cache.versions() == []
