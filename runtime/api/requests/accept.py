"""Content negotiation by the `Accept` header (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_RANGES = 100  # of one header that are looked at
_QUALITY = re.compile(r"[01](?:\.\d{0,3})?")


def preferred(accept: str, offers: Sequence[str]) -> str:
    """Which of `offers` (media types in lower case) a client likes best; the first if it likes several, or none.

    The most specific range that matches an offer gives its quality, as the RFC has it. Parameters other than `q` are
    not compared. A client that accepts none of them gets the first all the same, which the RFC allows.
    """
    ranges = _ranges(accept) or {"*/*": 1.0}
    return max(offers, key=lambda offer: _quality(offer, ranges))


def _quality(offer: str, ranges: dict[str, float]) -> float:
    group = offer.partition("/")[0] + "/*"
    return next((ranges[name] for name in (offer, group, "*/*") if name in ranges), 0.0)


def _ranges(accept: str) -> dict[str, float]:
    """The media ranges of a header, with their qualities 0..1; the larger one of a range that is there twice."""
    found: dict[str, float] = {}
    for entry in accept.split(",", MAX_RANGES)[:MAX_RANGES]:
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        if name:
            found[name] = max(found.get(name, 0.0), _q(parameters))
    return found


def _q(parameters: Sequence[str]) -> float:
    """The quality that parameters tell; 1 if none, or if it is none of the RFC's."""
    given = next((text.partition("=")[2].strip() for text in parameters if text.startswith("q=")), "1")
    return min(1.0, float(given)) if _QUALITY.fullmatch(given) else 1.0
