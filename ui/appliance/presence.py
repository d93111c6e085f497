"""Presence of an appliance: up or away, and since when; one truth for the state in the head and for the Monitor."""

from __future__ import annotations

import time
from collections.abc import Callable


class Presence:
    """What was last seen of an appliance."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Nothing has been seen; `clock` is Unix time in seconds."""
        self._clock = clock
        self.up: bool | None = None
        self.since = 0.0  # from which it is up or away
        self.was_away = False  # it came back, which is worth a word

    def note(self, *, up: bool) -> None:
        """It has answered, or has not."""
        if up != self.up:
            self.was_away = up and self.up is False
            self.up, self.since = up, self._clock()

    @property
    def away_since(self) -> float | None:
        """Since when it is away; None if it is not."""
        return self.since if self.up is False else None

    @property
    def back_since(self) -> float | None:
        """Since when it is back; None if it never was away."""
        return self.since if self.up and self.was_away else None
