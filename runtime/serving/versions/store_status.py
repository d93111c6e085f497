"""Status of the model store: reachable or not, time of the last poll, last error."""

from __future__ import annotations

from typing import NamedTuple

from runtime.registry.pointer import Pointer

NOT_ASKED = "the store has not been asked yet"
NOTHING_YET = "no model is published yet"


class PointerRead(NamedTuple):
    """The pointer that the store holds, if any, and a warning for operators."""

    pointer: Pointer | None
    detail: str = ""

    @property
    def version(self) -> str | None:
        """The version that it names."""
        return self.pointer.version if self.pointer else None


class StoreStatus(NamedTuple):
    """Whether the last poll reached the store, its error if not, and the version that the store points at.

    `looked_at` is the time of the last complete poll, in Unix seconds.
    """

    reachable: bool
    detail: str
    latest: str | None
    looked_at: float | None

    @property
    def trouble(self) -> str | None:
        """The warning for operators; None if there is none."""
        if not self.reachable:
            return f"the models are not followed: {self.detail}"
        return None if self.detail in ("", NOTHING_YET) else self.detail
