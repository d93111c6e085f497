"""Feedback quotas: how many corrected photos may wait for review, per product and per client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from runtime.serving.settings import Settings

FULL_RETRY_S = 3600  # people make the room: they look at photos now and then
SPOOL_RETRY_S = 60


class Amount(NamedTuple):
    """A number of photos and their total size."""

    photos: int
    size_bytes: int

    def __str__(self) -> str:
        """For people."""
        return f"{self.photos} corrected photos ({self.size_bytes / 2**20:.1f} MiB)"

    def takes(self, held: Amount, size_bytes: int) -> bool:
        """Whether a quota of this amount admits one more photo of `size_bytes` when `held` is used up.

        The first photo is always admitted: one larger than a small quota is not refused for ever.
        """
        return not held.photos or (held.photos < self.photos and held.size_bytes + size_bytes <= self.size_bytes)


@dataclass(frozen=True)
class Limits:
    """Corrections of one product that may wait; `share` (above 0, to 1) of it is what one client may send in a day.

    With a share of 1, clients have no limit but that of all.
    """

    photos: int = Settings.feedback_photos
    size_bytes: int = Settings.feedback_bytes
    share: float = Settings.feedback_share

    @property
    def of_all(self) -> Amount:
        """The quota of all clients together."""
        return Amount(self.photos, self.size_bytes)

    @property
    def of_a_client(self) -> Amount | None:
        """The quota of one client per day; None if clients have no quota of their own."""
        if self.share >= 1:
            return None
        return Amount(max(1, int(self.photos * self.share)), int(self.size_bytes * self.share))


class NotKept(Exception):
    """A corrected photo that is not kept; the message says why, `retry_after_s` when to retry.

    `outcome` is its label in the metric.
    """

    outcome: str

    def __init__(self, message: str, retry_after_s: int) -> None:
        """`retry_after_s` in whole seconds."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class FeedbackFull(NotKept):
    """The quota of all clients is used up: too many photos wait for review."""

    outcome = "full"

    @classmethod
    def of(cls, waiting: Amount) -> FeedbackFull:
        """The error when `waiting` uses up the quota."""
        remedy = "the operator looks at them with `python -m training feedback page`"
        return cls(f"{waiting} wait for review, and this one would be too many; {remedy}", FULL_RETRY_S)


class ClientLimit(NotKept):
    """Rate limit: this client has used up its quota for the day."""

    outcome = "client_limit"

    @classmethod
    def of(cls, sent: Amount, retry_after_s: int) -> ClientLimit:
        """The error when `sent`, within the last day, leaves no room for `retry_after_s`."""
        hours = -(-retry_after_s // 3600)
        return cls(
            f"{sent} came from your address within a day, and this one would be too many; "
            f"send it again in {hours} h, or ask the operator to set DANDELION_FEEDBACK_SHARE",
            retry_after_s,
        )


class SpoolFailed(NotKept):
    """The store is unreachable, and the spool on this host's disk failed, too."""

    outcome = "refused"
