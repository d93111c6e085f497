"""Measurement traffic: a client says of its photos that they are drawn, or frames of a camera, and not of use.

Such photos are left out of drift and confidence, and are labelled in the count of predictions. All that tells the load
of the appliance counts them as it does others: admission, requests, latency, rejections.
"""

from __future__ import annotations

from litestar.types import Scope

HEADER = b"x-traffic"
MEASUREMENT = b"measurement"


def is_measurement(scope: Scope) -> bool:
    """Whether a request says that its photos are for measurement: `X-Traffic: measurement`."""
    # A list, since a generator would cost each request more than the look itself.
    return MEASUREMENT in [value.strip().lower() for name, value in scope["headers"] if name == HEADER]
