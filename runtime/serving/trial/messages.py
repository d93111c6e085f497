"""Messages between the appliance and the child process of a trial: one line of JSON each way."""

from __future__ import annotations

import msgspec


class TrialJob(msgspec.Struct, frozen=True):
    """A verified bundle to validate, the time-out in seconds, and the memory limit in bytes on top of Python's own."""

    folder: str
    seconds: float
    memory_bytes: int | None


class TrialOutcome(msgspec.Struct, frozen=True):
    """The kernel that passed the golden cases on this CPU, or the reason why none did."""

    kernel: str | None = None
    refusal: str | None = None
