"""Asset watcher: trigger retraining when enough accepted corrections wait."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import Asset, AssetWatcher
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

POLL_S = 300.0
ENOUGH = 20


class AcceptedCorrections(BaseEventTrigger):
    """Polls the data store, and fires when enough corrections are accepted; after a training it may fire again."""

    def __init__(self, every_s: float = POLL_S) -> None:
        """Poll every `every_s` seconds."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.every_s = every_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Airflow: how the triggerer recreates it."""
        return f"{__name__}.{type(self).__name__}", {"every_s": self.every_s}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Polls for ever; an unreachable store is polled again."""
        told = 0
        while True:
            new = await asyncio.to_thread(_waiting)
            if new >= _enough() and new != told:
                yield TriggerEvent({"accepted_corrections": new})
            told = new
            await asyncio.sleep(self.every_s)


def _waiting() -> int:
    from runtime.errors import Refusal
    from training.pipeline import steps
    from training.storage.locations import Places

    places = Places.from_environment()
    try:
        product = steps.product_of(places, asked=os.environ.get("DANDELION_PRODUCT"))
        return int(steps.waiting_feedback(places.of(product))["new"])
    except Refusal:
        return 0


def _enough() -> int:
    return int(os.environ.get("DANDELION_FEEDBACK_MIN") or ENOUGH)


FEEDBACK = Asset(
    "dandelion_feedback",
    group="dandelion",
    watchers=[AssetWatcher("accepted_corrections", trigger=AcceptedCorrections(
        float(os.environ.get("DANDELION_FEEDBACK_EVERY_S") or POLL_S)
    ))],
)  # fmt: skip
