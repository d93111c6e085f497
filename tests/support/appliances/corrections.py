"""Corrected photos: sent over HTTP, or kept without a server."""

from __future__ import annotations

from pathlib import Path

import httpx

from runtime.serving.feedback import Feedback, Limits, Receipt
from runtime.serving.monitoring.metrics import Metrics
from runtime.store import open_store
from tests.support.appliances.servers import Appliance
from tests.support.photos import photo


def send(
    server: Appliance, data: bytes = b"", label: str | None = "grass", *, address: str = "127.0.0.1", **fields: str
) -> httpx.Response:
    """Send a photo from one of this host's own addresses, which are all of 127.0.0.0/8."""
    form = fields | ({"label": label} if label is not None else {})
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=60) as client:
        return client.post(server.url + "/feedback", files={"file": ("a.jpg", data or photo())}, data=form)


def feedback_at(folder: Path, limits: Limits) -> Feedback:
    return Feedback(open_store(str(folder / "data")), folder / "spool", Metrics(), retry_s=60, limits=limits)


def keep(feedback: Feedback, data: bytes, label: str = "grass", client: str = "127.0.0.1") -> Receipt:
    room = feedback.reserve(data, label, client=client)
    try:
        return feedback.keep(room, data, "JPEG")
    finally:
        feedback.release(room)
