"""What comes true in its own time is waited for in one way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

PATIENT = {"DANDELION_BUDGET_MS": "60000"}  # for an appliance: on a busy machine, too, nobody is turned away
FIRST_PAUSE_S = 0.01
PATIENCE_S = 420  # a busy machine takes many times what an idle one does, and only a failure waits to the end


def wait_until(
    holds: Callable[[], Any], what: str = "the condition", *, seconds: float = PATIENCE_S, every_s: float = 0.1
) -> Any:
    """What `holds` returns once it is true; what cannot be asked yet is asked again, soon at first."""
    deadline, pause_s = time.monotonic() + seconds, min(FIRST_PAUSE_S, every_s)
    last: object = None
    while time.monotonic() < deadline:
        try:
            if last := holds():
                return last
        except (httpx.HTTPError, AssertionError, KeyError, ValueError) as error:
            last = error
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, every_s)
    raise AssertionError(f"{what}: not within {seconds} s; last: {last!r}")
